internal import SwiftTorch

extension Trainer {
  /// Trains an epoch, or the rest of one; returns nil when `shouldStop` returned true.
  func train(_ epoch: Int, _ logs: RunLogs, _ observer: any TrainingObserver, _ shouldStop: () -> Bool) throws -> EpochMetrics? {
    let clock = ContinuousClock()
    let order = order ?? Tensor.randperm(trainSet.count, generator: shuffling)
    var sums = state.epoch ?? EpochSums()
    let loader = BatchLoader(
      trainSet, batchSize: configuration.batchSize, order: order.array(of: Int.self), augmentation: configuration.augmentation,
      generator: stream(.augmenting, of: epoch), layout: layout, after: sums.batches)
    network.module.setTraining(true)
    var lastSaved = clock.now
    while true {
      let batch = sums.batches
      self.order = order
      state.epoch = sums
      let stops = shouldStop()
      let isDue = batch > 0 && (clock.now - lastSaved) / .seconds(1) >= configuration.checkpoints.minutes * 60
      if (isDue || stops) && stepsDone > 0 {
        try save(as: [.last])
        lastSaved = clock.now
      }
      if stops { return nil }
      // The update passes a whole batch, as each step of the attack does at most.
      let (size, name) = (min(configuration.batchSize, trainSet.count), "batch \(batch + 1)")
      let passes = Double(size * (configuration.attack.steps + 1))
      var done = 0
      network.onPass = { images in
        done += images
        observer.progressed(name, epoch: epoch, to: min(1, Double(done) / passes))
      }
      defer { network.onPass = { _ in } }
      guard let metrics = try trainBatch(of: loader, epoch, &sums) else { break }
      try logs.append(metrics)
      state.stepsDone += 1
      observer.batchDone(epoch: epoch, batch: batch, batches: loader.batchCount, loss: metrics.loss)
    }
    self.order = nil
    state.epoch = nil
    if let answer = sums.constantAnswer {
      let advice = EpochSums.constantAdvice(configuration.method)
      observer.warn("the network answered \(answer) to every training image in the second half of epoch \(epoch + 1); \(advice)")
    }
    return sums.metrics(
      epoch: epoch, lambda: defense.lambda(at: epoch),
      learningRate: learningRate(epoch, batch: loader.batchCount - 1, of: loader.batchCount),
      on: SystemExamination.name(of: device))
  }

  /// Updates the weights by the loader's next batch and adds it to the sums; returns nil after the last batch.
  private func trainBatch(of loader: BatchLoader, _ epoch: Int, _ sums: inout EpochSums) throws -> StepMetrics? {
    let clock = ContinuousClock()
    let (start, processorStart) = (clock.now, ProcessorClock.seconds)
    guard let loaded = try loader.next() else { return nil }
    let (batch, batches) = (sums.batches, loader.batchCount)
    let data = TrainingBatch(
      images: loaded.images.to(device), labels: loaded.labels.to(device), indices: Tensor(loaded.indices), epoch: epoch)
    sums.dataSeconds += (clock.now - start) / .seconds(1)
    optimizer.learningRate = learningRate(epoch, batch: batch, of: batches)
    let outcome = try step(data)
    activeSteps = outcome.active.reduce(0, +)
    average?.stepTaken(network, epoch: epoch)
    sums.add(outcome, isLate: batch >= batches / 2)
    sums.seconds += (clock.now - start) / .seconds(1)
    sums.processorSeconds += ProcessorClock.seconds - processorStart
    return StepMetrics(
      step: stepsDone, epoch: epoch, loss: outcome.loss, gradientNorm: outcome.gradientNorm, active: outcome.active)
  }

  private func learningRate(_ epoch: Int, batch: Int, of batches: Int) -> Double {
    let part = configuration.learningRateSchedule.isPerStep ? Double(batch) / Double(batches) : 0
    return learningRates.rate(configuration.optimizer.learningRate, at: Double(epoch) + part)
  }

  private enum EpochStream: UInt64 { case augmenting, perturbingForStatistics }

  /// Returns a generator that depends only on the epoch and the purpose, so a run resumed inside the epoch has the same draws, and
  /// other draws do not change.
  private func stream(_ purpose: EpochStream, of epoch: Int) -> Generator {
    // The generator uses only the lower half of the seed, so the epoch must change that half.
    Generator(seed: configuration.seed, stream: 3 &+ (2 * UInt64(epoch) + purpose.rawValue) &* 0x9E37_79B9_7F4A_7C15)
  }

  private func step(_ batch: TrainingBatch) throws -> EpochSums.Batch {
    var gradientNorm = 0.0
    let limit = configuration.optimizer.maxGradientNorm
    update.beforeStep = { [optimizer] in
      gradientNorm = limit > 0 ? optimizer.clipGradientNorm(to: limit) : optimizer.gradientNorm()
      guard gradientNorm.isFinite else { throw SATError.notFinite("norm of the gradients", gradientNorm, batch.epoch) }
    }
    let outcome = try defense.step(batch, update, generator: perturbing)
    return withNoGrad {
      EpochSums.Batch(
        loss: outcome.loss, gradientNorm: gradientNorm, labels: batch.labels.array(of: Int.self),
        predictions: outcome.logits.argmax(dim: 1).array(of: Int.self), perturbation: outcome.perturbation.array(of: Float.self),
        active: outcome.active, gaps: ProbabilityGap.gap(outcome.logits, batch.labels).array(of: Float.self))
    }
  }

  /// Measures clean accuracy and accuracy under the training attack, with draws of its own, on the validation set; returns nil when
  /// `shouldStop` returned true.
  func validate(_ observer: any TrainingObserver, _ shouldStop: @escaping () -> Bool) throws -> EpochMetrics.Validation? {
    let attack = PGD(maximizer, seed: configuration.seed)
    let network = result
    let evaluation: Evaluation
    do {
      evaluation = try network.withPreparedWeights(
        inputShape: validationSet.imageShape, precision: configuration.execution.precision
      ) {
        try Evaluator(model: network, data: validationSet, batchSize: configuration.batchSize, device: device, layout: layout)
          .run(
            EvaluationPlan([attack], checks: false),
            progress: { [epoch = state.history.count] progress in
              observer.progressed("validating, \(progress.phase)", epoch: epoch, to: progress.fraction)
            }, shouldStop: shouldStop)
      }
    } catch is JobStopped { return nil }
    if Set(evaluation.predictions).count == 1 {
      let advice = EpochSums.constantAdvice(configuration.method)
      observer.warn("the network answers \(evaluation.predictions[0]) to every validation image; \(advice)")
    }
    func share(_ correct: Int) -> Double { Double(correct) / Double(validationSet.count) }
    return .init(clean: share(evaluation.cleanCorrect), robust: share(evaluation.robustCorrect), samples: validationSet.count)
  }

  /// Computes BatchNorm's statistics for averaged weights, from the training images in the data's order.
  func remakeStatistics(of network: NetworkClassifier, epoch: Int) throws(TorchError) {
    let perturbs = configuration.averaging.statistics == .perturbed
    let generator = stream(.perturbingForStatistics, of: epoch)
    let ranges = (0..<trainSet.count).chunks(of: configuration.batchSize)
    try network.module.remakeBatchStatistics(over: ranges) { range throws(TorchError) in
      let (images, labels) = try trainSet.batch(range)
      let (x, y) = (images.to(device).contiguous(layout), labels.to(device))
      guard perturbs else { return x }
      return try network.withPreparedWeights(inputShape: trainSet.imageShape) { () throws(TorchError) in
        try maximizer(network, x, y, curriculum: FullStrength(), generator: generator).images
      }
    } pass: { images throws(TorchError) in
      _ = try network.logits(images)
    }
  }
}

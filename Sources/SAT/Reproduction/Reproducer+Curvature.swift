internal import SwiftTorch

extension Reproducer {
  /// Returns training images, the same for every method.
  private func trainingImages(_ run: ReproductionPlan.Run, count: Int) throws -> ImageDataset {
    let all = try DataSource(run.configuration.data).loadForTraining(root: dataRoot).train
    return all.subset(Tensor.randperm(all.count, generator: Generator(seed: 1))[0..<min(count, all.count)])
  }

  /// Returns the training attack, with the same draws for every method.
  private func perturbation(_ run: ReproductionPlan.Run) throws -> ImagePerturbation {
    ImagePerturbation(try run.configuration.maximizer, seed: 2)
  }

  /// The execution of curvature and landscapes, which float32 measures in every run.
  private func inFloat32(_ run: ReproductionPlan.Run) -> Execution {
    var execution = run.configuration.execution
    execution.precision = .fp32
    return execution
  }

  // MARK: Fig. 7

  /// Measures Spearman's correlation of each estimate with the exact eigenvalues; the paper prints that of Eq. 20, in chunks of 32.
  func spectra() throws -> [ReproductionResult.Figure] {
    try measured { run, index in
      let perSample = try spectrum(of: run, index).perSample
      return (perSample?.spearman ?? [:]).sorted { $0.key < $1.key }.map { name, value in
        let interval = value.flatMap { Spearman.interval($0, count: perSample?.eigenvalues.count ?? 0) }
        return figure(run, "spearman of \(name)", value ?? .nan, low: interval?.lowerBound, high: interval?.upperBound)
      }
    }
  }

  private func spectrum(of run: ReproductionPlan.Run, _ index: Int) throws -> HessianDocument {
    try kept(run, "hessian", state: "spectrum", "eigenvalues measured", execution: inFloat32(run)) { state in
      var request = HessianAnalysis.Request()
      request.top = 0
      request.perSample = PerSampleSpectrum.Settings()
      request.approximations = true
      var job = HessianJob(
        model: try loaded(run, .best), data: try trainingImages(run, count: run.limits.spectrumImages), request: request,
        perturbation: try perturbation(run))
      job.batchSize = run.configuration.batchSize
      job.state = state
      return try job.run(progress: { self.measuring(run, index, $0.fraction, $0.phase) }, shouldStop: shouldStop).document
    }
  }

  // MARK: Fig. 1

  /// Measures the rise of the loss around the weights. The report page of the runs shows the surfaces.
  func landscapes() throws -> [ReproductionResult.Figure] {
    try measured { run, index in
      let landscape = try self.landscape(of: run, index)
      let values = landscape.loss.flatMap { $0 }
      let centre = values[values.count / 2]
      return [
        ("loss at the weights", centre), ("mean rise on the grid", values.reduce(0) { $0 + $1 - centre } / Double(values.count)),
        ("greatest loss on the grid", values.max() ?? centre),
      ].map { figure(run, $0, $1) }
    }
  }

  private func landscape(of run: ReproductionPlan.Run, _ index: Int) throws -> LandscapeDocument {
    try kept(run, "landscape", state: "landscape", "landscape measured", execution: inFloat32(run)) { state in
      var job = LandscapeJob(
        model: try loaded(run, .best), data: try trainingImages(run, count: run.limits.smoothnessImages),
        examples: .fixed(try perturbation(run)), axis: .init(points: run.limits.gridPoints))
      job.seed = run.configuration.seed
      job.batchSize = run.configuration.batchSize
      job.state = state
      return try job.run(progress: { self.measuring(run, index, $0.fraction, $0.phase, .evaluate) }, shouldStop: shouldStop)
        .document
    }
  }
}

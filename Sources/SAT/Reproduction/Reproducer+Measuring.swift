internal import Foundation
internal import SwiftTorch

/// What is measured on trained runs; each measurement is kept in the run's folder and used again.
extension Reproducer {
  func accuracies() throws -> [ReproductionResult.Figure] {
    try measured { run, index in
      let evaluation = try self.evaluation(of: run, index)
      return ReproductionResult.Figure.accuracies(
        item: plan.item.name, setting: run.setting, method: run.method, clean: evaluation.clean.correct,
        adversarial: evaluation.robust?.correct ?? evaluation.clean.correct, samples: evaluation.data.samples)
    }
  }

  /// The same as accuracies, with the images beside.
  func images() throws -> [ReproductionResult.Figure] {
    try measured { run, index in
      let evaluation = try self.evaluation(of: run, index, savingImages: true)
      return ReproductionResult.Figure.accuracies(
        item: plan.item.name, setting: run.setting, method: run.method, clean: evaluation.clean.correct,
        adversarial: evaluation.robust?.correct ?? evaluation.clean.correct, samples: evaluation.data.samples)
    }
  }

  func measured(_ body: (ReproductionPlan.Run, Int) throws -> [ReproductionResult.Figure]) throws -> [ReproductionResult.Figure] {
    var figures: [ReproductionResult.Figure] = []
    for (i, run) in plan.runs.enumerated() where !shouldStop() { figures += try body(run, i) }
    return figures
  }

  func measuring(
    _ run: ReproductionPlan.Run, _ index: Int, _ fraction: Double, _ detail: String, _ stage: ReproductionStage = .measure
  ) {
    observer.progressed(stage, to: (Double(index) + fraction) / Double(plan.runs.count), "\(run.setting) \(run.method), \(detail)")
  }

  // MARK: Accuracy

  /// The evaluation of the best checkpoint, as the paper stops early.
  private func evaluation(of run: ReproductionPlan.Run, _ index: Int, savingImages: Bool = false) throws -> EvaluationDocument {
    let path = "\(run.folder.path)/evaluation-\(run.limits.pgdSteps == nil ? "autoattack" : "pgd")\(savingImages ? "-images" : "").json"
    let imagePath = "\(run.folder.path)/adversarial.safetensors"
    if FileManager.default.fileExists(atPath: path), !savingImages || FileManager.default.fileExists(atPath: imagePath) {
      return try EvaluationDocument.read(from: path)
    }
    let execution = run.configuration.execution
    let device = try execution.prepare()
    let model = try loaded(run, .best, device)
    let data = try testImages(of: run, atMost: savingImages ? AdversarialExamples.limit : nil)
    let threat = try ThreatModel(norm: run.configuration.threat.norm, epsilon: run.configuration.threat.epsilon.value)
    let suite = AttackSuite(
      threat: threat, seed: run.configuration.seed, classes: try model.classCount(of: data, device: device), steps: run.limits.pgdSteps ?? 40)
    let names = run.limits.pgdSteps == nil ? AttackSuite.ensemble(.standard) : [.pgd]
    let (attacks, warning) = try suite.attacks(names)
    let store = try EvaluationStore(
      "\(run.folder.path)/evaluation-state",
      identity: [("model", try model.fingerprint()), ("attack", names.map(\.rawValue).joined(separator: ",")), ("images", "\(data.count)")])
    let adversarial = AdversarialImages()
    let evaluator = Evaluator(
      model: model.classifier, data: data, batchSize: run.configuration.batchSize, device: device, layout: execution.memoryFormat.format)
    func evaluate() throws -> Evaluation {
      let report = { (progress: EvaluationProgress) in
        let phases = ["clean"] + attacks.map(\.name)
        let part = (Double(phases.firstIndex(of: progress.phase) ?? 0) + progress.fraction) / Double(phases.count)
        self.measuring(run, index, part, "\(progress.phase), \(progress.correct) of \(data.count) still right", .evaluate)
      }
      return try evaluator.run(EvaluationPlan(attacks), adversarial: adversarial, store: store, progress: report, shouldStop: shouldStop)
    }
    let network = model.classifier as? NetworkClassifier
    var evaluation = try network.map { try $0.withPreparedWeights(inputShape: data.imageShape, evaluate) } ?? evaluate()
    if let warning { evaluation.warnings.insert(warning, at: 0) }
    let document = EvaluationDocument(
      evaluation, model: run.folder.path, data: data, threat: threat, seed: run.configuration.seed, batchSize: run.configuration.batchSize,
      version: run.limits.pgdSteps == nil ? AttackSuite.Version.standard.rawValue : nil, attacks: attacks)
    if savingImages { try SavedImages.write(adversarial, data, document, to: imagePath) }
    try document.write(to: path)
    try? FileManager.default.removeItem(atPath: "\(run.folder.path)/evaluation-state")
    observer.said("\(run.setting) \(run.method): evaluated, \(path)")
    return document
  }

  func loaded(_ run: ReproductionPlan.Run, _ checkpoint: RunFolder.Checkpoint, _ device: Device) throws -> LoadedModel {
    let model = try ModelFile.load(
      path: run.folder.path, checkpoint: checkpoint.rawValue, architecture: nil, normalization: nil, device: device)
    model.classifier.execution = run.configuration.execution
    return model
  }

  private func testImages(of run: ReproductionPlan.Run, atMost limit: Int?) throws -> ImageDataset {
    let all = try DataSource(run.data).load(.test, root: dataRoot)
    let wanted = [run.limits.testImages, limit].compactMap { $0 }.min()
    let classes = run.limits.trainingImages.map { $0 / ReproductionScale.imagesPerClass } ?? Int.max
    return all.subset(Self.positions(wanted, of: all, classes: classes))
  }
}

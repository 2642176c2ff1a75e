internal import Foundation
internal import SwiftTorch

/// Measurements of trained runs. The run's folder keeps each measurement for later use.
extension Reproducer {
  /// Measures accuracies, and saves the adversarial images on request.
  func accuracies(savingImages: Bool) throws -> [ReproductionResult.Figure] {
    try measured { run, index in
      let evaluation = try self.evaluation(of: run, index, savingImages: savingImages)
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
    observer.progressed(stage, to: (Double(index) + fraction) / Double(plan.runs.count), "\(run.name), \(detail)")
  }

  func figure(
    _ run: ReproductionPlan.Run, _ quantity: String, _ value: Double, low: Double? = nil, high: Double? = nil
  ) -> ReproductionResult.Figure {
    .init(item: plan.item.name, setting: run.setting, method: run.method, quantity: quantity, value: value, low: low, high: high)
  }

  /// Returns a document of the run's folder. If it is missing, or was measured in other circumstances, makes it with a path for the
  /// state of the work, and saves it.
  func kept<Document: MeasurementDocument>(
    _ run: ReproductionPlan.Run, _ name: String, state: String, _ done: String, isComplete: Bool = true,
    execution: Execution? = nil, make: (_ state: String) throws -> Document
  ) throws -> Document {
    let (path, state) = ("\(run.folder.path)/\(name).json", "\(run.folder.path)/\(state)-state")
    if isComplete, FileManager.default.fileExists(atPath: path) {
      let document = try Document.read(from: path)
      guard let other = try document.difference(from: execution ?? run.configuration.execution) else { return document }
      observer.report("\(run.name): \(path) was measured with \(other); it is measured again")
    }
    let document = try make(state)
    try document.write(to: path)
    try? FileManager.default.removeItem(atPath: state)
    observer.report("\(run.name): \(done), \(path)")
    return document
  }

  /// Evaluates the best checkpoint, because the paper uses early stopping.
  private func evaluation(of run: ReproductionPlan.Run, _ index: Int, savingImages: Bool) throws -> EvaluationDocument {
    let name = "evaluation-\(run.limits.pgdSteps == nil ? "autoattack" : "pgd")\(savingImages ? "-images" : "")"
    let imagePath = "\(run.folder.path)/adversarial.safetensors"
    let isComplete = !savingImages || FileManager.default.fileExists(atPath: imagePath)
    return try kept(run, name, state: name, "evaluated", isComplete: isComplete) { state in
      let model = try loaded(run, .best)
      let data = try testImages(of: run, atMost: savingImages ? AdversarialExamples.limit : nil)
      let threat = try ThreatModel(norm: run.configuration.threat.norm, epsilon: run.configuration.threat.epsilon.value)
      let suite = AttackSuite(
        AttackSettings(
          threat: threat, seed: run.configuration.seed, classes: try model.classCount(of: data), steps: run.limits.pgdSteps ?? 40))
      let entries = run.limits.pgdSteps == nil ? AutoAttack.ensemble(.standard) : [PGD.entry]
      var job = try EvaluationJob(model: model, data: data, suite: suite, attacks: entries)
      job.batchSize = run.configuration.batchSize
      job.state = state
      job.keepsImages = savingImages
      let phases = ["clean"] + job.plan.attacks.map(\.name)
      let result = try job.run(
        progress: { progress in
          let part = (Double(phases.firstIndex(of: progress.phase) ?? 0) + progress.fraction) / Double(phases.count)
          self.measuring(run, index, part, "\(progress.phase), \(progress.correct) of \(data.count) still right", .evaluate)
        }, shouldStop: shouldStop)
      if savingImages { try result.saveImages(to: imagePath) }
      return result.document
    }
  }

  func loaded(_ run: ReproductionPlan.Run, _ checkpoint: RunFolder.Checkpoint) throws -> LoadedModel {
    try ModelFile.load(path: run.folder.path, checkpoint: checkpoint, execution: run.configuration.execution)
  }

  private func testImages(of run: ReproductionPlan.Run, atMost limit: Int?) throws -> ImageDataset {
    let all = try DataSource(run.data).load(.test, root: dataRoot)
    let wanted = [run.limits.testImages, limit].compactMap { $0 }.min()
    let classes = run.limits.trainingImages.map { $0 / ReproductionScale.imagesPerClass } ?? Int.max
    return all.subset(Self.positions(wanted, of: all, classes: classes))
  }
}

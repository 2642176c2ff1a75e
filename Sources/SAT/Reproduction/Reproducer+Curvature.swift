internal import Foundation
internal import SwiftTorch

/// What is measured of the adversarial loss at the trained weights.
extension Reproducer {
  /// Training images as PGD leaves them, the same for every method.
  private func adversarialTrainingImages(
    _ run: ReproductionPlan.Run, _ model: LoadedModel, count: Int, _ device: Device
  ) throws -> (data: ImageDataset, images: Tensor, labels: Tensor) {
    let all = try DataSource(run.configuration.data).loadForTraining(root: dataRoot).train
    let chosen = Tensor.randperm(all.count, generator: Generator(seed: 1))[0..<min(count, all.count)]
    let data = all.subset(chosen)
    let (images, labels) = try data.batch(0..<data.count)
    let adversarial = try run.configuration.maximizer.adversarialImages(
      model.classifier, images.to(device), labels.to(device), batchSize: run.configuration.batchSize, generator: Generator(seed: 2))
    return (data, adversarial, labels.to(device))
  }

  /// In full precision, whatever the run's, for second derivatives.
  private func exactModel(of run: ReproductionPlan.Run) throws -> (model: LoadedModel, device: Device) {
    let device = try run.configuration.execution.prepare()
    let model = try loaded(run, .best, device)
    model.classifier.execution.precision = .fp32
    return (model, device)
  }

  // MARK: Fig. 7

  /// Spearman's correlation of each estimate with the exact eigenvalues. The paper's is of its upper bound, Eq. 20, in chunks of 32.
  func spectra() throws -> [ReproductionResult.Figure] {
    try measured { run, index in
      let perSample = try spectrum(of: run, index).perSample
      return (perSample?.spearman ?? [:]).sorted { $0.key < $1.key }.map { name, value in
        let interval = value.flatMap { Spearman.interval($0, count: perSample?.eigenvalues.count ?? 0) }
        return ReproductionResult.Figure(
          setting: run.setting, method: run.method, quantity: "spearman of \(name)", value: value ?? .nan, low: interval?.lowerBound,
          high: interval?.upperBound, paper: PaperFigures.value(plan.item.name, run.setting, run.method, "spearman of \(name)"))
      }
    }
  }

  private func spectrum(of run: ReproductionPlan.Run, _ index: Int) throws -> HessianDocument {
    let path = "\(run.folder.path)/hessian.json"
    if FileManager.default.fileExists(atPath: path) { return try HessianDocument.read(from: path) }
    let (model, device) = try exactModel(of: run)
    measuring(run, index, 0, "attack")
    let (data, images, labels) = try adversarialTrainingImages(run, model, count: run.limits.spectrumImages, device)
    var store = try SpectrumStore("\(run.folder.path)/spectrum-state", identity: "\(try model.fingerprint()), \(data.count) images")
    let perSample = try store.measure(model.classifier, images, labels) { part, fraction in self.measuring(run, index, fraction, part) }
    var request = HessianAnalysis.Request()
    request.top = 0
    let analysis = try HessianAnalysis.measure(model.classifier, images: images, labels: labels, request)
    var document = try HessianDocument(
      analysis, model: run.folder.path, data: data, perturbation: run.configuration.maximizer, seed: 0)
    document.perSample = perSample
    try document.write(to: path)
    store.remove()
    observer.said("\(run.setting) \(run.method): eigenvalues measured, \(path)")
    return document
  }

  // MARK: Fig. 1

  /// How much the loss rises around the weights; the pictures are in the runs' page.
  func landscapes() throws -> [ReproductionResult.Figure] {
    try measured { run, index in
      let landscape = try self.landscape(of: run, index)
      let values = landscape.loss.flatMap { $0 }
      let centre = values[values.count / 2]
      return [
        ("loss at the weights", centre), ("mean rise on the grid", values.reduce(0) { $0 + $1 - centre } / Double(values.count)),
        ("greatest loss on the grid", values.max() ?? centre),
      ].map { ReproductionResult.Figure(setting: run.setting, method: run.method, quantity: $0, value: $1) }
    }
  }

  private func landscape(of run: ReproductionPlan.Run, _ index: Int) throws -> LandscapeDocument {
    let path = "\(run.folder.path)/landscape.json"
    if FileManager.default.fileExists(atPath: path) { return try LandscapeDocument.read(from: path) }
    let begun = ContinuousClock().now
    let (model, device) = try exactModel(of: run)
    measuring(run, index, 0, "attack")
    let (data, images, labels) = try adversarialTrainingImages(run, model, count: run.limits.smoothnessImages, device)
    let weights = try model.classifier.differentiableParameters()
    let directions = LandscapeDirection.orthogonal(2, for: weights, seed: run.configuration.seed)
    let axis = LossLandscape.Axis(points: run.limits.gridPoints)
    let landscape = LossLandscape(
      model.classifier, directions: directions, axes: [axis, axis], examples: .fixed(images), labels: labels,
      batchSize: run.configuration.batchSize)
    let store = try LandscapeStore("\(run.folder.path)/landscape-state", identity: ["model": model.fingerprint(), "images": "\(data.count)"])
    try landscape.evaluate((0..<landscape.count).filter { store.values[$0] == nil }) { point, value in
      try store.put(value, at: point)
      measuring(run, index, Double(store.values.count) / Double(landscape.count), "landscape", .evaluate)
    } shouldStop: {
      shouldStop()
    }
    guard store.values.count == landscape.count else {
      try store.write()
      throw EvaluationStopped()
    }
    let document = try LandscapeDocument(
      landscape, store.values, model: run.folder.path, data: data, examples: "fixed", perturbation: run.configuration.maximizer,
      vectors: .fixed, seed: run.configuration.seed, seconds: (ContinuousClock().now - begun) / .seconds(1))
    try document.write(to: path)
    try? FileManager.default.removeItem(atPath: "\(run.folder.path)/landscape-state")
    observer.said("\(run.setting) \(run.method): landscape measured, \(path)")
    return document
  }
}

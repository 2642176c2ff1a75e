internal import Foundation
internal import SwiftTorch

/// Saves a run and resumes it bit for bit.
extension Trainer {
  func save(as links: [RunFolder.Checkpoint]) throws {
    var tensors = optimizer.state.map { (name: "optimizer.\($0.name)", tensor: $0.tensor) }
    tensors += defense.state.map { ("defense.\($0.name)", $0.tensor) }
    tensors += generators.map { ("generator.\($0.name)", $0.generator.state) }
    if let average, average.hasBegun {
      tensors += average.state
      tensors += network.module.stateDict.map { ("weights.\($0.name)", $0.tensor) }
    }
    if let order { tensors.append(("epoch.order", order)) }
    let name =
      state.epoch.map { String(format: "epoch-%04d-batch-%06d", history.count, $0.batches) }
      ?? (state.pending == nil
        ? String(format: "epoch-%04d", history.count - 1) : String(format: "epoch-%04d-trained", history.count))
    try folder.save(name, as: links) { path in
      try ModelFile.save(result, to: "\(path)/\(ModelFile.weightsName)")
      try state.save(in: path, tensors: tensors)
    }
  }

  func restore() throws {
    let last = folder.folder(of: .last)
    let (found, saved) = try TrainingState.load(from: last)
    try check(found)
    let weights = "\(last)/\(ModelFile.weightsName)"
    let count = saved.tensors.part("average").first { $0.name == "count" }?.tensor
    if let average, let count {
      try average.restore(weights: weights, count: Int(count.item()))
      try network.module.loadStateDict(saved.tensors.part("weights"), source: saved.file)
    } else {
      try ModelFile.loadWeights(into: network, from: weights)
    }
    try optimizer.restore(saved.tensors.part("optimizer"))
    try defense.restore(saved.tensors.part("defense"))
    for (name, generator) in generators { try generator.restore(saved.one("generator.\(name)")) }
    state = found
    state.configuration = configuration
    if !folder.has(.best) { state.best = nil }
    if state.epoch != nil {
      let order = try saved.one("epoch.order")
      guard order.shape == [trainSet.count], order.dtype == .int64 else {
        throw SATError("\(saved.file) holds an order of \(order.shape) images; expected \(trainSet.count), so restore it")
      }
      self.order = order
    }
  }

  /// Checks that the checkpoint belongs to this run, because `config.yaml` or the data may have changed since.
  private func check(_ found: TrainingState) throws(SATError) {
    let changes = try configuration.differences(from: found.configuration)
    guard changes.isEmpty else {
      throw SATError(
        "\(folder.configurationPath) differs from the last checkpoint's configuration: \(changes.joined(separator: ", ")); "
          + "change it back, or start another run with --run")
    }
    guard found.trainingImages == trainSet.count else {
      throw SATError(
        "\(configuration.data) now holds \(trainSet.count) images to train on, but the run in \(folder.path) began with "
          + "\(found.trainingImages); give it the same data, or start another run with --run")
    }
    guard found.dataFingerprint == state.dataFingerprint else {
      throw SATError(
        "\(configuration.data) holds other images or labels than the run in \(folder.path) began with; give it the same data, or "
          + "start another run with --run")
    }
    guard found.history.count <= configuration.epochs else {
      throw SATError(
        "the run in \(folder.path) has \(found.history.count) epochs, more than the \(configuration.epochs) asked for; give "
          + "--epochs at least that number, or leave it out")
    }
  }
}

internal import Foundation
internal import SwiftTorch

/// Saves a run and resumes it bit for bit.
extension Trainer {
  func save(as links: [RunFolder.Checkpoint]) throws {
    let state = TrainingState(
      configuration: configuration, trainingImages: trainSet.count, dataFingerprint: trainSet.fingerprint, history: history,
      stepsDone: stepsDone, best: best, stopped: stopped, epoch: current?.sums, pending: pending)
    var tensors = optimizer.state.map { (name: "optimizer.\($0.name)", tensor: $0.tensor) }
    tensors += defense.state.map { ("defense.\($0.name)", $0.tensor) }
    tensors += generators.map { ("generator.\($0.name)", $0.generator.state) }
    if let average, average.hasBegun {
      tensors += average.state
      tensors += network.module.stateDict.map { ("weights.\($0.name)", $0.tensor) }
    }
    if let current { tensors.append(("epoch.order", current.order)) }
    let name =
      current.map { String(format: "epoch-%04d-batch-%06d", history.count, $0.sums.batches) }
      ?? (pending == nil ? String(format: "epoch-%04d", history.count - 1) : String(format: "epoch-%04d-trained", history.count))
    try folder.save(name, as: links) { path in
      try ModelFile.save(result, to: "\(path)/\(ModelFile.weightsName)")
      try state.save(in: path, tensors: tensors)
    }
  }

  func restore() throws {
    let last = folder.folder(of: .last)
    let (state, saved) = try TrainingState.load(from: last)
    try check(state)
    let weights = "\(last)/\(ModelFile.weightsName)"
    let count = saved.part("average").first { $0.name == "count" }?.tensor
    if let average, let count {
      try average.restore(weights: weights, count: Int(count.item()))
      try network.module.loadStateDict(saved.part("weights"), source: saved.file)
    } else {
      try ModelFile.loadWeights(into: network, from: weights)
    }
    try optimizer.restore(saved.part("optimizer"))
    try defense.restore(saved.part("defense"))
    for (name, generator) in generators { try generator.restore(saved.one("generator.\(name)")) }
    history = state.history
    pending = state.pending
    stepsDone = state.stepsDone
    best = state.best
    stopped = state.stopped
    if best != nil, !folder.has(.best) { best = nil }
    if let sums = state.epoch {
      let order = try saved.one("epoch.order")
      guard order.shape == [trainSet.count], order.dtype == .int64 else {
        throw SATError("\(saved.file) holds an order of \(order.shape) images; expected \(trainSet.count), so restore it")
      }
      current = (order, sums)
    }
  }

  /// Checks that the checkpoint belongs to this run, because `config.yaml` or the data may have changed since.
  private func check(_ state: TrainingState) throws(SATError) {
    let changes = try configuration.differences(from: state.configuration)
    guard changes.isEmpty else {
      throw SATError(
        "\(folder.configurationPath) differs from the last checkpoint's configuration: \(changes.joined(separator: ", ")); "
          + "change it back, or start another run with --run")
    }
    guard state.trainingImages == trainSet.count else {
      throw SATError(
        "\(configuration.data) now holds \(trainSet.count) images to train on, but the run in \(folder.path) began with "
          + "\(state.trainingImages); give it the same data, or start another run with --run")
    }
    guard state.dataFingerprint == trainSet.fingerprint else {
      throw SATError(
        "\(configuration.data) holds other images or labels than the run in \(folder.path) began with; give it the same data, or "
          + "start another "
          + "run with --run")
    }
    guard state.history.count <= configuration.epochs else {
      throw SATError(
        "the run in \(folder.path) has \(state.history.count) epochs, more than the \(configuration.epochs) asked for; give "
          + "--epochs at least that number, or leave it out")
    }
  }
}

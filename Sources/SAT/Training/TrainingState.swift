internal import Foundation
internal import SwiftTorch

/// What a checkpoint holds besides the weights, so that a resumed run ends where an uninterrupted one does.
struct TrainingState: Codable {
  static let currentFormat = "sat-training/1"

  var format = currentFormat
  /// Epochs that are done.
  var epochsDone: Int
  /// The best validation so far.
  var best: Best?
  /// Lambda in force when the checkpoint was written.
  var lambda: Double?
  /// Why the defense ended the training.
  var stopped: String?

  struct Best: Codable {
    var epoch: Int
    var validation: EpochMetrics.Validation
  }

  private static let stateFile = "state.json"
  private static let tensorFile = "training.safetensors"

  /// Writes the state and the tensors of the optimizer, the defense and the generators.
  func write(
    to folder: String, optimizer: any Optimizer, defense: any Defense, generators: [(name: String, generator: Generator)]
  ) throws {
    let tensors =
      optimizer.state.map { ("optimizer.\($0.name)", $0.tensor) } + defense.state.map { ("defense.\($0.name)", $0.tensor) }
      + generators.map { ("generator.\($0.name)", $0.generator.state) }
    try SafeTensors(tensors: tensors.map { (name: $0.0, tensor: $0.1) }).write(to: "\(folder)/\(Self.tensorFile)")
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(Array(encoder.encode(self)), to: "\(folder)/\(Self.stateFile)")
  }

  /// Reads the state, and puts the optimizer, the defense and the generators where they were.
  static func read(
    from folder: String, optimizer: any Optimizer, defense: any Defense, generators: [(name: String, generator: Generator)]
  ) throws -> TrainingState {
    let path = "\(folder)/\(stateFile)"
    let bytes = try FileBytes.read(path, expecting: "the state of a training run")
    guard let state = try? JSONDecoder().decode(TrainingState.self, from: Data(bytes)), state.format == currentFormat else {
      throw SATError("\(path) is not the state of a training run (\(currentFormat)); start the run anew without --resume")
    }
    let tensors = try SafeTensors.read("\(folder)/\(tensorFile)")
    func saved(_ prefix: String) -> [(name: String, tensor: Tensor)] {
      tensors.tensors.filter { $0.name.hasPrefix(prefix) }.map { (String($0.name.dropFirst(prefix.count)), $0.tensor) }
    }
    try optimizer.restore(saved("optimizer."))
    try defense.restore(saved("defense."))
    for (name, generator) in generators {
      guard let position = tensors["generator.\(name)"] else {
        throw SATError("\(folder)/\(tensorFile) lacks the generator '\(name)'; start the run anew without --resume")
      }
      try generator.restore(position)
    }
    return state
  }
}

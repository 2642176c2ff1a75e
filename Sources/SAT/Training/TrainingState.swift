internal import SwiftTorch

/// What a checkpoint holds besides the weights to evaluate, so that a resumed run ends where an uninterrupted one does.
struct TrainingState: VersionedDocument {
  static let format = "sat-training/3"
  static var remedy: String { "restore it, or start the run anew without --resume" }

  private(set) var format: String = Self.format
  /// The run's, to tell whether it is still the same; epochs and execution may change.
  var configuration: TrainingConfiguration
  /// How many images it was trained on, and which.
  var trainingImages: Int
  var dataFingerprint: String
  /// The metrics of the epochs that are done.
  var history: [EpochMetrics]
  /// Updates of the weights so far.
  var stepsDone: Int
  /// The best validation so far.
  var best: Best?
  /// Why the defense ended the training.
  var stopped: String?
  /// Of an epoch that has begun and not ended: what its batches so far add up to. Their order is among the tensors.
  var epoch: EpochSums?
  /// Of an epoch that ended and is not validated yet.
  var pending: EpochMetrics?
  /// Of the tensors in the files beside this one, by the file's name, since a flipped bit in a number is still a number.
  var fingerprints: [String: String] = [:]

  struct Best: Codable, Equatable {
    var epoch: Int
    var validation: EpochMetrics.Validation
  }

  private static let files = [ModelFile.weightsName, tensorFile]
  private static let stateFile = "state.json"
  private static let tensorFile = "training.safetensors"

  /// Writes the state beside the weights, and the tensors of everything else that has some.
  func save(in folder: String, tensors: NamedTensors) throws {
    try SafeTensors(tensors: tensors).write(to: "\(folder)/\(Self.tensorFile)")
    var state = self
    for file in Self.files { state.fingerprints[file] = Self.text(Fingerprint.of(try SafeTensors.read("\(folder)/\(file)").tensors)) }
    try state.write(to: "\(folder)/\(Self.stateFile)")
  }

  /// Reads the state and its tensors.
  ///
  /// - Throws: a sentence naming the file that is damaged, missing or of another version.
  static func load(from folder: String) throws -> (state: TrainingState, tensors: SavedTensors) {
    let state = try read(from: "\(folder)/\(stateFile)")
    var saved: [String: NamedTensors] = [:]
    for file in files {
      let tensors = try SafeTensors.read("\(folder)/\(file)").tensors
      guard state.fingerprints[file] == text(Fingerprint.of(tensors)) else {
        throw SATError(
          "\(folder)/\(file) is not what was saved with this checkpoint: it is damaged or of another run; restore it, or start the run anew "
            + "without --resume")
      }
      saved[file] = tensors
    }
    return (state, SavedTensors(file: "\(folder)/\(tensorFile)", tensors: saved[tensorFile] ?? []))
  }

  private static func text(_ fingerprint: UInt64) -> String { String(fingerprint, radix: 16) }
}

/// The tensors of a checkpoint by the part of the run they belong to: `optimizer.momentum.0`.
struct SavedTensors {
  let file: String
  let tensors: NamedTensors

  /// Those of one part, by their names within it.
  func part(_ name: String) -> NamedTensors {
    tensors.compactMap { $0.name.hasPrefix(name + ".") ? (String($0.name.dropFirst(name.count + 1)), $0.tensor) : nil }
  }

  /// - Throws: `SATError` when it is not there.
  func one(_ name: String) throws(SATError) -> Tensor {
    guard let tensor = tensors.first(where: { $0.name == name })?.tensor else {
      throw SATError("\(file) lacks '\(name)'; restore it or start the run anew without --resume")
    }
    return tensor
  }
}

internal import SwiftTorch

/// The progress of a run: the part of a checkpoint besides the weights, with which a resumed run ends like an uninterrupted one.
struct TrainingState: VersionedDocument {
  static let format = "sat-training/3"
  static var remedy: String { "restore it, or start the run again without --resume" }

  private(set) var format: String = Self.format
  /// The run's configuration, to detect changes; epochs and execution may change.
  var configuration: TrainingConfiguration
  var trainingImages: Int
  var dataFingerprint: String
  /// The metrics of the finished epochs.
  var history: [EpochMetrics] = []
  /// The number of updates so far.
  var stepsDone = 0
  var best: Best?
  /// The defense's reason to end the training early; nil if there is none.
  var stopped: String?
  /// The sums over the batches of an unfinished epoch; nil between epochs. The tensors hold the order of its samples.
  var epoch: EpochSums?
  /// The metrics of an epoch that is trained but not yet validated; nil otherwise.
  var pending: EpochMetrics?
  /// The fingerprints of the tensors in the other files, by file name; they detect damage, such as a flipped bit in a number.
  var fingerprints: [String: String] = [:]

  struct Best: Codable, Equatable {
    var epoch: Int
    var validation: EpochMetrics.Validation
  }

  private static let files = [ModelFile.weightsName, tensorFile]
  private static let stateFile = "state.json"
  private static let tensorFile = "training.safetensors"

  func save(in folder: String, tensors: NamedTensors) throws {
    try SafeTensors(tensors: tensors).write(to: "\(folder)/\(Self.tensorFile)")
    var state = self
    for file in Self.files {
      state.fingerprints[file] = Self.text(Fingerprint.of(try SafeTensors.read("\(folder)/\(file)").tensors))
    }
    try state.write(to: "\(folder)/\(Self.stateFile)")
  }

  /// Reads the state of a checkpoint without its tensors.
  static func read(fromCheckpoint folder: String) throws -> TrainingState { try read(from: "\(folder)/\(stateFile)") }

  /// Reads the state and its tensors.
  ///
  /// - Throws: `SATError` that names the file, if it is damaged, missing or of another version.
  static func load(from folder: String) throws -> (state: TrainingState, tensors: SavedTensors) {
    let state = try read(fromCheckpoint: folder)
    var saved: [String: NamedTensors] = [:]
    for file in files {
      let tensors = try SafeTensors.read("\(folder)/\(file)").tensors
      guard state.fingerprints[file] == text(Fingerprint.of(tensors)) else {
        throw SATError(
          "\(folder)/\(file) differs from the file saved with this checkpoint: it is damaged or from another run; restore it, or "
            + "start the run again without --resume")
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

  /// Returns one tensor; throws `SATError` when it is missing.
  func one(_ name: String) throws(SATError) -> Tensor {
    guard let tensor = tensors.first(where: { $0.name == name })?.tensor else {
      throw SATError("\(file) lacks '\(name)'; restore it or start the run again without --resume")
    }
    return tensor
  }
}

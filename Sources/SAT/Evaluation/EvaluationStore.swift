internal import Foundation
public import SwiftTorch

/// How far an evaluation has come, all of it between two batches.
public struct EvaluationState {
  /// Of the clean images, [N, classes] on the CPU.
  var logits: Tensor
  var predictions: [Int]
  var warnings: [Evaluation.Warning]
  var isDifferentiable = true
  /// Whether the model draws, so that a single answer decides nothing.
  var isRandom = false
  /// Of the attacks that are done.
  var outcomes: [Evaluation.Outcome] = []
  /// Of the attack under way, and how many of its samples are done.
  var current: Evaluation.Outcome?
  var done = 0
  var records: [Evaluation.Record] = []
  /// Seconds that were spent until it was saved.
  var seconds = 0.0

  init(logits: Tensor, predictions: [Int], warnings: [Evaluation.Warning]) {
    self.logits = logits
    self.predictions = predictions
    self.warnings = warnings
  }
}

/// Broken images by their positions in the data, as batches put them.
public final class AdversarialImages {
  public private(set) var parts: [(positions: [Int], images: Tensor)] = []

  public init() {}

  /// - Parameter images: [positions, C, H, W] on the CPU.
  func put(_ images: Tensor, at positions: [Int]) { parts.append((positions, images)) }

  /// The images of a data set with the broken ones in their places, float32 in [0, 1].
  public func merged(into data: ImageDataset) throws(TorchError) -> Tensor {
    let images = try data.batch(0..<data.count).images.contiguous().cloned()
    for (positions, part) in parts { images.copyInPlace(from: part, at: Tensor(positions)) }
    return images
  }
}

/// A folder in which an evaluation writes down how far it is, so that it can be killed at any moment and go on.
public final class EvaluationStore {
  /// What a state belongs to, by aspect; the sentence that refuses a state names the aspect.
  public typealias Identity = [(aspect: String, value: String)]

  private let folder: String
  private let identity: Identity
  private let interval: Duration
  /// How long a block of an attack should take at most, since a kill loses the one under way.
  let block: Duration
  private let lock: FolderLock
  private let clock = ContinuousClock()
  private var lastSave: ContinuousClock.Instant
  private var cost = Duration.zero
  private(set) var saved: (state: EvaluationState, adversarial: [(positions: [Int], images: Tensor)])?

  private var path: String { Self.file(in: folder) }

  /// The file of a folder that the state is kept in.
  public static func file(in folder: String) -> String { "\(folder)/state.safetensors" }

  /// What a state file's metadata holds beside its tensors.
  private struct Contents: Codable {
    var format = "sat-evaluation-state/1"
    var identity: [String: String]
    var predictions: [Int]
    var warnings: [Evaluation.Warning]
    var isDifferentiable: Bool
    var isRandom: Bool
    var outcomes: [Evaluation.Outcome]
    var current: Evaluation.Outcome?
    var done: Int
    var records: [Evaluation.Record]
    var seconds: Double
  }

  /// Reads the state that is there, if any.
  ///
  /// - Parameters:
  ///   - identity: of this evaluation; equal between runs that may share a state.
  ///   - interval: shortest time between two writes within an attack, longer where a write takes more than a twentieth of it; zero to
  ///     write after every batch.
  ///   - block: what a kill may lose, about.
  /// - Throws: `SATError` when another process has the folder, or the state is another evaluation's or is no state; `TorchError` when it
  ///   cannot be read.
  public init(_ folder: String, identity: Identity, interval: Duration = .seconds(1), block: Duration = .seconds(60)) throws {
    self.folder = folder
    self.identity = identity
    self.interval = interval
    self.block = block
    lastSave = clock.now
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder) {
      guard isFolder.boolValue else { throw SATError("\(folder) is a file; expected a folder for --state") }
    } else {
      try OutputFolder.create(folder, advice: "name another with --state")
    }
    lock = try FolderLock(folder, use: "keeping its state in")
    if FileManager.default.fileExists(atPath: path) { saved = try read() }
    try AtomicFile.check(path)
  }

  private func read() throws -> (state: EvaluationState, adversarial: [(positions: [Int], images: Tensor)]) {
    let file = try SafeTensors.read(path)
    guard let text = file.metadata["sat.state"], let logits = file["logits"],
      let contents = try? JSONDecoder().decode(Contents.self, from: Data(text.utf8))
    else {
      throw SATError("\(path) is not the state of an evaluation of this version; expected one that `sat evaluate --state` wrote")
    }
    for (aspect, value) in identity where contents.identity[aspect] != value {
      throw SATError(
        "\(folder) holds the state of an evaluation with another \(aspect) (\(contents.identity[aspect] ?? "none"), not \(value)); "
          + "give another folder to --state, or delete this one")
    }
    var state = EvaluationState(logits: logits, predictions: contents.predictions, warnings: contents.warnings)
    state.isDifferentiable = contents.isDifferentiable
    state.isRandom = contents.isRandom
    state.outcomes = contents.outcomes
    state.current = contents.current
    state.done = contents.done
    state.records = contents.records
    state.seconds = contents.seconds
    var adversarial: [(positions: [Int], images: Tensor)] = []
    if let positions = file["positions"], let images = file["images"] {
      adversarial.append((positions.array(of: Int.self), images))
    }
    return (state, adversarial)
  }

  /// Whether the last write was long enough ago.
  var isDue: Bool { interval == .zero || clock.now - lastSave >= max(interval, cost * 20) }

  func save(_ state: EvaluationState, _ adversarial: AdversarialImages?) throws(TorchError) {
    let start = clock.now
    let contents = Contents(
      identity: Dictionary(uniqueKeysWithValues: identity.map { ($0.aspect, $0.value) }), predictions: state.predictions,
      warnings: state.warnings, isDifferentiable: state.isDifferentiable, isRandom: state.isRandom, outcomes: state.outcomes,
      current: state.current, done: state.done, records: state.records, seconds: state.seconds)
    guard let json = try? JSONEncoder().encode(contents) else {
      throw TorchError(.value, "\(path): the state holds a number that JSON has no form for")
    }
    var tensors: NamedTensors = [("logits", state.logits)]
    if let parts = adversarial?.parts, !parts.isEmpty {
      tensors.append(("positions", Tensor(parts.flatMap(\.positions))))
      tensors.append(("images", Tensor.concatenated(parts.map(\.images))))
    }
    try SafeTensors(tensors: tensors, metadata: ["sat.state": String(decoding: json, as: UTF8.self)]).write(to: path)
    lastSave = clock.now
    cost = lastSave - start
  }
}

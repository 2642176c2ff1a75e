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
  private static let kind = StateFile.Kind(format: "sat-evaluation-state/2", work: "an evaluation")

  private let file: StateFile
  /// How long a block of an attack should take at most, because a kill loses the block under way.
  let block: Duration
  private(set) var saved: (state: EvaluationState, adversarial: [(positions: [Int], images: Tensor)])?

  /// The file of a folder that holds the state.
  public static func file(in folder: String) -> String { StateFile.path(inFolder: folder) }

  /// What the file holds beside its tensors.
  private struct Contents: Codable {
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
  public init(_ folder: String, identity: StateIdentity, interval: Duration = .seconds(1), block: Duration = .seconds(60)) throws {
    self.block = block
    file = try StateFile(inFolder: folder, Self.kind, identity: identity, interval: interval)
    guard let (contents, file) = try file.read(Contents.self) else { return }
    guard let logits = file["logits"] else { throw self.file.unusable }
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
    saved = (state, adversarial)
  }

  /// Whether the last write was long enough ago.
  var isDue: Bool { file.isDue }

  func save(_ state: EvaluationState, _ adversarial: AdversarialImages?) throws(TorchError) {
    var tensors: NamedTensors = [("logits", state.logits)]
    if let parts = adversarial?.parts, !parts.isEmpty {
      tensors.append(("positions", Tensor(parts.flatMap(\.positions))))
      tensors.append(("images", Tensor.concatenated(parts.map(\.images))))
    }
    try file.write(
      Contents(
        predictions: state.predictions, warnings: state.warnings, isDifferentiable: state.isDifferentiable, isRandom: state.isRandom,
        outcomes: state.outcomes, current: state.current, done: state.done, records: state.records, seconds: state.seconds),
      tensors: tensors)
  }
}

public import SwiftTorch

/// The state of an evaluation between two batches.
public struct EvaluationState {
  /// The logits of the clean images, [N, classes] on the CPU.
  var logits: Tensor
  var predictions: [Int]
  var warnings: [Evaluation.Warning]
  var isDifferentiable = true
  /// True if the model is random, so that a single pass decides nothing.
  var isRandom = false
  /// The results of the finished attacks.
  var outcomes: [Evaluation.Outcome] = []
  /// The results so far of the running attack.
  var current: Evaluation.Outcome?
  /// The number of finished samples of the running attack.
  var done = 0
  var records: [Evaluation.Record] = []
  /// The seconds spent until the state was saved.
  var seconds = 0.0

  init(logits: Tensor, predictions: [Int], warnings: [Evaluation.Warning]) {
    self.logits = logits
    self.predictions = predictions
    self.warnings = warnings
  }
}

/// The broken images with their positions in the data.
public final class AdversarialImages {
  public private(set) var parts: [(positions: [Int], images: Tensor)] = []

  public init() {}

  /// Adds images at positions.
  ///
  /// - Parameter images: [positions, C, H, W] on the CPU.
  func put(_ images: Tensor, at positions: [Int]) { parts.append((positions, images)) }

  /// Returns a data set's images with the broken images in their places, [N, C, H, W], float32 in [0, 1].
  public func merged(into data: ImageDataset) throws(TorchError) -> Tensor {
    let images = try data.batch(0..<data.count).images.contiguous().cloned()
    for (positions, part) in parts { images.copyInPlace(from: part, at: Tensor(positions)) }
    return images
  }
}

/// A folder that holds an evaluation's state, so that a killed evaluation can continue.
public final class EvaluationStore {
  private static let kind = StateFile.Kind(format: "sat-evaluation-state/2", work: "an evaluation")

  private let file: StateFile
  /// The longest time that a group of an attack should take, because a kill loses the current group.
  let block: Duration
  private(set) var saved: (state: EvaluationState, adversarial: [(positions: [Int], images: Tensor)])?

  /// Returns the path of the state file in a folder.
  public static func file(in folder: String) -> String { StateFile.path(inFolder: folder) }

  /// The JSON part of the file; the rest is tensors.
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

  /// Opens the folder and reads its state, if it has one.
  ///
  /// - Parameters:
  ///   - identity: The evaluation's identity; evaluations with equal identities may share a state.
  ///   - interval: The shortest time between two writes within an attack; it grows if a write takes more than a twentieth of it.
  ///     Zero writes after every batch.
  ///   - block: The work, in time, that a kill may lose.
  /// - Throws: `SATError` if another process uses the folder, the state belongs to another evaluation, or the file is not a state;
  ///   `TorchError` if the file cannot be read.
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

  /// True if the last write was long enough ago.
  var isDue: Bool { file.isDue }

  func save(_ state: EvaluationState, _ adversarial: AdversarialImages?) throws(TorchError) {
    var tensors: NamedTensors = [("logits", state.logits)]
    if let parts = adversarial?.parts, !parts.isEmpty {
      tensors.append(("positions", Tensor(parts.flatMap(\.positions))))
      tensors.append(("images", Tensor.concatenated(parts.map(\.images))))
    }
    try file.write(
      Contents(
        predictions: state.predictions, warnings: state.warnings, isDifferentiable: state.isDifferentiable,
        isRandom: state.isRandom, outcomes: state.outcomes, current: state.current, done: state.done, records: state.records,
        seconds: state.seconds), tensors: tensors)
  }
}

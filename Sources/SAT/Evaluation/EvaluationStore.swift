public import SwiftTorch

/// The state of an evaluation between two groups of samples.
struct EvaluationState: Codable {
  private enum CodingKeys: CodingKey {
    case predictions, warnings, isDifferentiable, isRandom, outcomes, current, done, records, seconds
  }

  /// The logits of the clean images, [N, classes] on the CPU. A state file holds them outside the JSON text.
  var logits = Tensor.zeros(0)
  var predictions: [Int]
  var warnings: [Evaluation.Warning]
  var isDifferentiable = true
  /// True if the model is random, so that a single pass decides nothing.
  var isRandom = false
  /// The results of the finished attacks. Their number is the index of the running attack.
  var outcomes: [Evaluation.Outcome] = []
  /// The results so far of the running attack.
  var current: Evaluation.Outcome?
  /// The number of finished samples of the running attack.
  var done = 0
  var records: [Evaluation.Record] = []
  /// The seconds of work before `begun`.
  var seconds = 0.0
  var begun = ContinuousClock.now

  var secondsUntilNow: Double { seconds + (ContinuousClock.now - begun) / .seconds(1) }
}

/// The broken images with their positions in the data.
public final class AdversarialImages {
  public private(set) var parts: [(positions: [Int], images: Tensor)] = []

  public init() {}

  /// Adds images [positions, C, H, W] on the CPU.
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
  let groupTime: Duration
  private(set) var saved: (state: EvaluationState, adversarial: (positions: [Int], images: Tensor)?)?

  /// Opens the folder and reads its state, if it has one.
  ///
  /// Evaluations with equal identities may share a state. Two writes within an attack are at least `interval` apart, or longer if a
  /// write takes more than a twentieth of it; zero writes after every group. A kill may lose the work of the time `groupTime`.
  /// - Throws: `SATError` if another process uses the folder, the state belongs to another evaluation, or the file is not a state;
  ///   `TorchError` if the file cannot be read.
  public init(_ folder: String, identity: StateIdentity, interval: Duration = .seconds(1), groupTime: Duration = .seconds(60))
    throws
  {
    self.groupTime = groupTime
    file = try StateFile(at: folder, Self.kind, identity: identity, interval: interval)
    guard let (contents, tensors) = try file.read(EvaluationState.self) else { return }
    guard let logits = tensors["logits"] else { throw file.unusable }
    var state = contents
    state.logits = logits
    saved = (state, tensors["images"].flatMap { images in tensors["positions"].map { ($0.array(of: Int.self), images) } })
  }

  var isDue: Bool { file.isDue }

  func save(_ state: EvaluationState, _ adversarial: AdversarialImages?) throws(TorchError) {
    var tensors: NamedTensors = [("logits", state.logits)]
    if let parts = adversarial?.parts, !parts.isEmpty {
      tensors.append(("positions", Tensor(parts.flatMap(\.positions))))
      tensors.append(("images", Tensor.concatenated(parts.map(\.images))))
    }
    try file.write(state, tensors: tensors)
  }
}

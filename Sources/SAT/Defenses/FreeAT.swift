public import SwiftTorch

/// Free AT (Shafahi et al. 2019): trains m times on each batch, with one backward pass for weights and perturbation together.
///
/// The perturbation carries over from batch to batch, and its steps are epsilon long. A preset's number of epochs is divided by 8,
/// the default m, so the number of updates stays the same. With another m, set the epochs too.
public final class FreeAT: Defense {
  static let entry = DefenseRegistry.Entry(
    name: "free-at", summary: "one backward pass for weights and perturbation, m times a batch (Shafahi et al. 2019)",
    usesAttack: false,
    options: [.whole("replays", 8, from: 1, "m, the number of updates per batch; presets choose their epochs for 8")],
    adapt: { settings in
      func divided(_ epochs: Int) -> Int { (epochs + 7) / 8 }
      settings.epochs = divided(settings.epochs)
      settings.learningRateSchedule.milestones = settings.learningRateSchedule.milestones.map(divided)
    }
  ) { FreeAT($0) }

  private let threat: ThreatModel
  private let replays: Int
  /// [largest batch, C, H, W].
  private var perturbation: Tensor?

  public init(_ settings: DefenseSettings) {
    threat = settings.maximizer.threat
    replays = settings.options.whole("replays")
  }

  public func step(_ batch: TrainingBatch, _ update: WeightUpdate, generator: Generator) throws -> TrainingOutcome {
    guard threat.norm != .l1 else { throw SATError("free-at supports the norms linf and l2; choose one of them or another method") }
    let n = batch.images.size(0)
    var whole = perturbation ?? Tensor.zeros(like: batch.images)
    if whole.size(0) < n { whole = whole.padded([0, 0, 0, 0, 0, 0, 0, n - whole.size(0)]) }
    var losses = 0.0
    var last: (logits: Tensor, images: Tensor)?
    for _ in 0..<replays {
      let own = whole[0..<n].detached().cloned().requireGrad()
      let input = (batch.images + own).clamped(to: 0...1)
      let (loss, logits) = try update(epoch: batch.epoch) { network throws(TorchError) in
        let logits = try network.logits((batch.images + own).clamped(to: 0...1))
        return (logits.crossEntropy(batch.labels), logits)
      }
      losses += loss
      last = (logits, input.detached())
      guard let gradient = own.grad else { throw TorchError(.value, "free-at: the network's output does not depend on its input") }
      // Projects on the ball only; the clamp of the images keeps them in the box.
      whole[0..<n] = Self.moved(own.detached(), along: gradient, in: threat)
    }
    perturbation = whole
    return TrainingOutcome(
      loss: losses / Double(replays), logits: last!.logits,
      perturbation: withNoGrad { threat.size(from: batch.images, to: last!.images) }, active: Array(repeating: 1, count: replays))
  }

  private static func moved(_ perturbation: Tensor, along gradient: Tensor, in threat: ThreatModel) -> Tensor {
    withNoGrad {
      if threat.norm == .linf {
        return perturbation.adding(gradient.sign(), alpha: threat.epsilon).clamped(to: -threat.epsilon...threat.epsilon)
      }
      func length(_ tensor: Tensor) -> Tensor { tensor.alignedNorms(.l2).clamped(to: 1e-12...) }
      let next = perturbation.adding(gradient / length(gradient), alpha: threat.epsilon)
      return next * (threat.epsilon / length(next)).clamped(to: ...1)
    }
  }

  public var state: NamedTensors { perturbation.map { [("perturbation", $0)] } ?? [] }

  public func restore(_ state: NamedTensors) throws(TorchError) {
    guard let saved = state.first(where: { $0.name == "perturbation" })?.tensor else { return }
    guard saved.ndim == 4 else {
      throw TorchError(.value, "the method's 'perturbation' has shape \(saved.shape) in the checkpoint; expected [N, C, H, W]")
    }
    perturbation = saved.cloned()
  }
}

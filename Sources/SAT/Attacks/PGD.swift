public import SwiftTorch

/// Projected gradient descent (Madry et al. 2018) on the cross-entropy, with restarts.
///
/// A sample is broken when any iterate of any restart is misclassified; it then stops, so the attack is at least as strong as
/// one that only looks at the last iterate, and cheaper.
public final class PGD: Attack {
  public let name = "pgd"
  public let restarts: Int
  public private(set) var cost = AttackCost()
  private let maximizer: InnerMaximizer
  // One stream per restart, drawn for every image, so that neither the batch size nor what earlier restarts broke changes a draw.
  private let generators: [Generator]

  public var threat: ThreatModel { maximizer.threat }

  public init(_ maximizer: InnerMaximizer, restarts: Int = 1, seed: UInt64) {
    self.maximizer = maximizer
    self.restarts = restarts
    generators = (0..<UInt64(restarts)).map { Generator(seed: seed &+ $0 &* 0x9E37_79B9_7F4A_7C15) }
  }

  public func perturb(_ model: any Classifier, _ images: Tensor, _ labels: Tensor) throws(TorchError) -> Tensor {
    var result = images
    var open: Tensor?
    for generator in generators {
      let start = maximizer.startingPoints(around: images, generator: generator)
      func part(_ tensor: Tensor) -> Tensor { open.map { tensor.selecting($0) } ?? tensor }
      let outcome = try maximizer.ascend(
        model, from: part(start), clean: part(images), part(labels), UntilMisclassified())
      cost += outcome.cost
      result = open.map { result.cloned().copyInPlace(from: outcome.images, at: $0) } ?? outcome.images
      if restarts == 1 { break }
      let logits = try withNoGrad { () throws(TorchError) in try model.logits(result) }
      cost.forward += labels.count
      let unbroken = logits.argmax(dim: 1).equal(to: labels).nonzero().squeezed(dim: 1)
      if unbroken.count == 0 { break }
      open = unbroken
    }
    return result
  }
}

/// The fast gradient sign method (Goodfellow et al. 2015): one step of size epsilon from the image itself.
public final class FGSM: Attack {
  public let name = "fgsm"
  public let threat: ThreatModel
  public private(set) var cost = AttackCost()

  public init(threat: ThreatModel) { self.threat = threat }

  public func perturb(_ model: any Classifier, _ images: Tensor, _ labels: Tensor) throws(TorchError) -> Tensor {
    let maximizer = InnerMaximizer(threat: threat, steps: 1, stepSize: threat.epsilon, start: .clean)
    let outcome = try maximizer.ascend(model, from: images, clean: images, labels, FullStrength())
    cost += outcome.cost
    return outcome.images
  }
}

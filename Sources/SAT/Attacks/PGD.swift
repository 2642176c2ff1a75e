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
  private let seed: UInt64

  public var threat: ThreatModel { maximizer.threat }

  public init(_ maximizer: InnerMaximizer, restarts: Int = 1, seed: UInt64) {
    self.maximizer = maximizer
    self.restarts = restarts
    self.seed = seed
  }

  public func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
    let images = batch.images
    var result = AttackResult(images: images, findings: Array(repeating: nil, count: batch.count))
    var open = Array(0..<batch.count)
    for restart in 0..<restarts where !open.isEmpty {
      let indices = Tensor(open).to(images.device)
      let clean = images.selecting(indices)
      let streams = open.map { CounterRandom(seed: seed, sample: batch.samples[$0], attack: name, restart: restart) }
      let start = maximizer.startingPoints(around: clean, streams)
      let labels = batch.labels.selecting(indices)
      let outcome = try maximizer.ascend(model, from: start, clean: clean, labels, UntilMisclassified())
      cost += outcome.cost
      result.images = open.count == batch.count ? outcome.images : result.images.cloned().copyInPlace(from: outcome.images, at: indices)
      let logits = try withNoGrad { () throws(TorchError) in try model.confirmedLogits(outcome.images) }
      cost.forward += open.count
      let hits = Set(logits.argmax(dim: 1).notEqual(to: labels).nonzero().squeezed(dim: 1).array(of: Int.self))
      for hit in hits { result.findings[open[hit]] = Finding(restart: restart, step: maximizer.steps) }
      open = open.indices.filter { !hits.contains($0) }.map { open[$0] }
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

  public func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
    let maximizer = InnerMaximizer(threat: threat, steps: 1, stepSize: threat.epsilon, start: .clean)
    let outcome = try maximizer.ascend(model, from: batch.images, clean: batch.images, batch.labels, FullStrength())
    cost += outcome.cost
    let logits = try withNoGrad { () throws(TorchError) in try model.confirmedLogits(outcome.images) }
    cost.forward += batch.count
    let broken = logits.argmax(dim: 1).notEqual(to: batch.labels).array(of: Bool.self)
    return AttackResult(images: outcome.images, findings: broken.map { $0 ? Finding(restart: 0, step: 1) : nil })
  }
}

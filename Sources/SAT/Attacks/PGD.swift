public import SwiftTorch

/// Projected gradient descent (Madry et al. 2018), with restarts, untargeted or over target classes.
///
/// A sample is broken as soon as any iterate of any restart is misclassified, and it then stops. The attack is therefore cheaper
/// than one that tests only the last iterate, and at least as strong.
public final class PGD: Attack {
  static let entry = AttackEntry(
    name: "pgd", summary: "projected gradient descent (Madry et al. 2018)",
    parameters: [
      .steps { settings, _ in settings.steps }.standing(for: "the run's, else \(defaultSteps)"),
      .stepSize { settings, own in settings.stepSize ?? defaultStepSize(epsilon: settings.threat.epsilon, steps: own.steps!) }
        .standing(for: "the run's, else 2.5 * epsilon / steps"),
      .restarts { _, _ in 1 }, .targets(from: 0) { _, _ in 0 }, .loss(.crossEntropy),
    ], minimumClasses: { $0.loss!.minimumClasses(isTargeted: $0.targets! > 0) },
    make: { settings, own in
      PGD(
        InnerMaximizer(threat: settings.threat, steps: own.steps!, stepSize: own.stepSize!), loss: own.loss!, targets: own.targets!,
        restarts: own.restarts!, seed: settings.seed)
    })

  /// The number of steps of an evaluation if neither the user nor the model's run gives one.
  public static let defaultSteps = 40

  /// Returns the step size of an evaluation if neither the user nor the model's run gives one.
  public static func defaultStepSize(epsilon: Double, steps: Int) -> Double { 2.5 * epsilon / Double(steps) }

  public let name: String
  public let loss: AttackLoss
  /// The number of target classes, by the rank of their clean logits; 0 for an untargeted attack.
  public let targets: Int
  public let restarts: Int
  public var steps: Int { maximizer.steps }
  public var stepSize: Double { maximizer.stepSize }
  public private(set) var cost = AttackCost()
  private let maximizer: InnerMaximizer
  private let seed: UInt64

  public var threat: ThreatModel { maximizer.threat }

  /// Makes an attack. The maximizer gives the threat model, the steps, the step size, the start and the noise.
  public init(
    _ maximizer: InnerMaximizer, loss: AttackLoss = .crossEntropy, targets: Int = 0, restarts: Int = 1, seed: UInt64,
    name: String = "pgd"
  ) {
    // A clean start needs no restart, because every start is the same.
    self.restarts = maximizer.start == .clean ? 1 : restarts
    self.maximizer = maximizer
    self.loss = loss
    self.targets = targets
    self.seed = seed
    self.name = name
  }

  public var parameters: AttackParameters {
    AttackParameters(steps: steps, stepSize: stepSize, restarts: restarts, targets: targets, loss: loss)
  }

  public func passesPerSample(classes: Int) -> Int { runsPerStart(targets: targets, classes: classes) * restarts * (steps + 1) }

  /// - Throws: Any error of the model, or `TorchError` for fewer classes than the loss needs.
  public func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
    try loss.check(classes: batch.logits.size(1), isTargeted: targets > 0, name)
    let search = try BatchSearch(model, batch, .fast, name: name, seed: seed)
    defer { cost += search.cost }
    try search.run(targets: targets, restarts: restarts, ascend)
    return search.result
  }

  private func ascend(_ rows: SearchRows) throws(TorchError) {
    var x = withNoGrad { maximizer.startingPoints(around: rows.clean) { rows.draws($0) } }
    var feasible = FeasibleSet(threat, around: rows.clean)
    for step in 0..<maximizer.steps {
      let input = x.detached().requireGrad()
      let logits = try withGrad { () throws(TorchError) in try rows.logits(input) }
      let losses = withGrad { loss.values(logits, rows.labels, rows.targets) }
      let kept = try rows.recordHits(logits.detached().misclassifies(rows.labels), at: x, step: step)
      if rows.count == 0 { return }
      var gradient = try rows.gradient(of: losses, at: input)
      withNoGrad {
        if let kept {
          x = x.rows(at: kept)
          gradient = gradient.rows(at: kept)
          feasible = feasible.selecting(kept)
        }
        let noise = maximizer.noise == 0 ? nil : rows.draws(.normal, step: step + 1) * maximizer.noise
        x = feasible.step(from: x, along: gradient, size: maximizer.stepSize, noise: noise)
      }
    }
    let logits = try withNoGrad { () throws(TorchError) in try rows.logits(x) }
    let kept = try rows.recordHits(logits.misclassifies(rows.labels), at: x, step: maximizer.steps)
    try rows.confirmInFloat32(at: kept.map { x.rows(at: $0) } ?? x, step: maximizer.steps)
  }
}

extension PGD {
  static let fgsmEntry = AttackEntry(
    name: "fgsm", summary: "fast gradient sign method (Goodfellow et al. 2015)",
    parameters: [.targets(from: 0) { _, _ in 0 }, .loss(.crossEntropy)],
    minimumClasses: { $0.loss!.minimumClasses(isTargeted: $0.targets! > 0) },
    make: { settings, own in fgsm(threat: settings.threat, loss: own.loss!, targets: own.targets!) })

  /// Makes the fast gradient sign method (Goodfellow et al. 2015): one step of size epsilon from the clean image.
  public static func fgsm(threat: ThreatModel, loss: AttackLoss = .crossEntropy, targets: Int = 0) -> PGD {
    PGD(
      InnerMaximizer(threat: threat, steps: 1, stepSize: threat.epsilon, start: .clean), loss: loss, targets: targets, seed: 0,
      name: "fgsm")
  }
}

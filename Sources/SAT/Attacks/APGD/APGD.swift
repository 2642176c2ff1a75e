public import SwiftTorch

/// Auto-PGD (Croce and Hein, ICML 2020; for L1 ICML 2021): projected gradient ascent that chooses its step sizes itself.
public final class APGD: Attack {
  public let name: String
  public let threat: ThreatModel
  public let loss: AttackLoss
  /// The number of target classes, by the rank of their clean logits; 0 for an untargeted attack.
  public let targets: Int
  public let restarts: Int
  public let iterations: Int
  /// Passes that average the gradient (expectation over transformation), for random models.
  public let passes: Int
  /// In L1, true to run first with three times the radius and then with twice the radius.
  public let usesLargeRadii: Bool
  public let mode: AttackMode
  public private(set) var cost = AttackCost()
  private let seed: UInt64

  /// Makes an attack. A nil `name` gives "apgd-ce", "apgd-dlr", or "apgd-t" with targets.
  public init(
    name: String? = nil, threat: ThreatModel, loss: AttackLoss, targets: Int = 0, restarts: Int = 1, iterations: Int = 100,
    passes: Int = 1, usesLargeRadii: Bool = false, mode: AttackMode, seed: UInt64
  ) {
    precondition(restarts > 0 && iterations > 0 && passes > 0 && targets >= 0, "APGD: restarts, iterations and passes are positive")
    precondition(!usesLargeRadii || threat.norm == .l1, "APGD: large radii are for L1")
    self.name = name ?? (targets > 0 ? "apgd-t" : "apgd-\(loss.rawValue)")
    self.threat = threat
    self.loss = loss
    self.targets = targets
    self.restarts = restarts
    self.iterations = iterations
    self.passes = passes
    self.usesLargeRadii = usesLargeRadii
    self.mode = mode
    self.seed = seed
  }

  public var parameters: AttackParameters {
    AttackParameters(steps: iterations, restarts: restarts, targets: targets > 0 ? targets : nil, loss: loss, eot: passes)
  }

  public var variant: String? { usesLargeRadii ? "in three radii" : nil }

  public func passesPerSample(classes: Int) -> Int {
    runsPerStart(targets: targets, classes: classes) * restarts * passes * (iterations + 1)
  }

  /// - Throws: Any error of the model, or `TorchError` for fewer classes than the loss needs.
  public func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
    try loss.check(classes: batch.logits.size(1), isTargeted: targets > 0, name)
    let search = try BatchSearch(model, batch, mode, name: name, seed: seed)
    defer { cost += search.cost }
    try search.run(targets: targets, restarts: restarts) { (rows) throws(TorchError) in
      if usesLargeRadii { try shrinkingRuns(rows) } else { _ = try run()(rows, from: start(rows)) }
    }
    return search.result
  }

  private func run(radius: Double? = nil, iterations: Int? = nil, isFinal: Bool = true) -> APGDRun {
    APGDRun(
      norm: threat.norm, radius: radius ?? threat.epsilon, iterations: iterations ?? self.iterations, loss: loss, passes: passes,
      isFinal: isFinal)
  }

  /// Returns a random starting point inside the box: on the sphere in L-inf and L2, or normal noise projected on the ball in L1.
  func start(_ rows: SearchRows) -> Tensor {
    if threat.norm == .l1 { return L1Ball.projected(rows.clean + rows.draws(.normal), around: rows.clean, radius: threat.epsilon) }
    let noise = threat.norm == .linf ? 2 * rows.draws(.uniform) - 1 : rows.draws(.normal)
    return (rows.clean + threat.epsilon * (noise / (noise.autoAttackNorms(threat.norm) + 1e-12))).clamped(to: 0...1)
  }

  /// Runs three times in shrinking balls, each time from the best point of the run before. Only the last run's findings count.
  private func shrinkingRuns(_ rows: SearchRows) throws(TorchError) {
    let first = Int((0.3 * Double(iterations)).rounded(.up))
    let clean = rows.clean
    var points = L1Ball.projected(clean + rows.draws(.normal, onDevice: true), around: clean, radius: 3 * threat.epsilon)
    for (factor, count) in [(3.0, first), (2, first), (1, iterations - 2 * first)] where count > 0 {
      points = L1Ball.projected(points, around: clean, radius: factor * threat.epsilon)
      // The reference draws a start here and discards it, so its generator advances.
      if mode == .compat { _ = rows.draws(.normal) }
      let isFinal = factor == 1
      let run = run(radius: factor * threat.epsilon, iterations: count, isFinal: isFinal)
      guard let best = try run(rows, from: points, isFresh: false), !isFinal else { return }
      points = best
    }
  }
}

extension APGD {
  static let crossEntropyEntry = form("apgd-ce", "APGD on the cross-entropy", .crossEntropy, untargeted)
  static let dlrEntry = form("apgd-dlr", "APGD on the DLR loss", .dlr, untargeted)
  static let targetedEntry = form(
    "apgd-t", "APGD on the DLR loss towards other classes", .dlr,
    [
      .steps { _, _ in 100 }, .restarts { _, _ in 1 }, .targets(from: 1) { settings, _ in startsLarge(settings) ? 5 : 9 },
      .eot { _, _ in 1 },
    ])

  private static let untargeted: [AttackParameter] = [
    .steps { _, _ in 100 },
    .restarts { settings, _ in settings.version == .rand || (settings.version.isStandard && settings.threat.norm != .l1) ? 1 : 5 },
    .eot { settings, _ in settings.version == .rand ? 20 : 1 },
  ]

  private static func form(_ name: String, _ summary: String, _ loss: AttackLoss, _ parameters: [AttackParameter]) -> AttackEntry {
    AttackEntry(
      name: name, summary: "\(summary) (Croce and Hein 2020)", parameters: parameters,
      minimumClasses: { loss.minimumClasses(isTargeted: $0.targets != nil) },
      check: { (settings, own) throws(SATError) in
        // Three runs share the steps, and only the last run is in the threat model.
        guard startsLarge(settings), let steps = own.steps, steps < 5 else { return }
        throw SATError(
          "\(name) divides its steps among three radii in L1, and \(steps) steps leave none for the last; expected at least 5, "
            + "or version custom, which has one radius")
      },
      make: { settings, own in
        APGD(
          threat: settings.threat, loss: loss, targets: own.targets ?? 0, restarts: own.restarts!, iterations: own.steps!,
          passes: own.eot!, usesLargeRadii: startsLarge(settings), mode: settings.mode, seed: settings.seed)
      })
  }

  /// Returns the default of `usesLargeRadii`: true for the standard version in L1.
  private static func startsLarge(_ settings: AttackSettings) -> Bool { settings.version.isStandard && settings.threat.norm == .l1 }
}

extension AttackLoss {
  /// Throws if the loss is not defined for so few classes.
  func check(classes: Int, isTargeted: Bool, _ attack: String) throws(TorchError) {
    let needed = minimumClasses(isTargeted: isTargeted)
    guard classes >= needed else {
      let kind = isTargeted ? "targeted " : ""
      throw TorchError(
        .value,
        "\(attack) increases the \(kind)\(rawValue) loss, which is defined for \(needed) classes or more, but the model has "
          + "\(classes); use the ce or the margin loss")
    }
  }
}

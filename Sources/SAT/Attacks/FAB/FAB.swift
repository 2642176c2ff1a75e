public import SwiftTorch

/// The fast adaptive boundary attack (Croce and Hein, ICML 2020), untargeted ("fab") or over target classes ("fab-t").
///
/// It searches for the smallest perturbation that changes the class, which counts if it is within epsilon.
public final class FAB: Attack {
  public let name: String
  public let threat: ThreatModel
  /// The number of target classes, by the rank of their clean logits; 0 for an untargeted attack.
  public let targets: Int
  /// The number of starts: the first at the clean image, the others at random points of half the radius.
  public let restarts: Int
  public let iterations: Int
  public let mode: AttackMode
  public private(set) var cost = AttackCost()
  private let seed: UInt64

  public init(threat: ThreatModel, targets: Int = 0, restarts: Int = 1, iterations: Int = 100, mode: AttackMode, seed: UInt64) {
    precondition(restarts > 0 && iterations > 0 && targets >= 0, "FAB: restarts and iterations are positive")
    name = targets > 0 ? "fab-t" : "fab"
    self.threat = threat
    self.targets = targets
    self.restarts = restarts
    self.iterations = iterations
    self.mode = mode
    self.seed = seed
  }

  public var parameters: AttackParameters {
    AttackParameters(steps: iterations, restarts: restarts, targets: targets > 0 ? targets : nil)
  }

  /// The estimate assumes that about a quarter of the points move back from the other side and need another pass.
  public func passesPerSample(classes: Int) -> Int {
    runsPerStart(targets: targets, classes: classes) * restarts * (iterations * 5 / 4 + 1)
  }

  public func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
    let search = try BatchSearch(model, batch, mode, name: name, seed: seed)
    defer { cost += search.cost }
    let run = FABRun(threat: threat, iterations: iterations)
    try search.run(targets: targets, restarts: restarts) { (rows) throws(TorchError) in try run(rows, from: start(rows)) }
    return search.result
  }

  private func start(_ rows: SearchRows) -> Tensor {
    let isRandom = rows.rows.map { $0.restart > 0 }
    guard isRandom.contains(true) else { return rows.clean }
    let noise = threat.norm == .linf ? 2 * rows.draws(.uniform) - 1 : rows.draws(.normal)
    let offset = noise / noise.autoAttackNorms(threat.norm) * (threat.epsilon * 0.5)
    let start = (rows.clean + offset).clamped(to: 0...1)
    return rows.clean.replacing(with: start, where: Tensor(isRandom).to(start.device).reshaped(to: -1, 1, 1, 1))
  }
}

extension FAB {
  static let entry = form("fab", "fast adaptive boundary attack", [.steps { _, _ in 100 }, .restarts { _, _ in 5 }])
  static let targetedEntry = form(
    "fab-t", "FAB towards other classes", [.steps { _, _ in 100 }, .restarts { _, _ in 1 }, .targets(from: 1) { _, _ in 9 }])

  private static func form(_ name: String, _ summary: String, _ parameters: [AttackParameter]) -> AttackEntry {
    AttackEntry(name: name, summary: "\(summary) (Croce and Hein 2020)", parameters: parameters) { settings, own in
      FAB(
        threat: settings.threat, targets: own.targets ?? 0, restarts: own.restarts!, iterations: own.steps!, mode: settings.mode,
        seed: settings.seed)
    }
  }
}

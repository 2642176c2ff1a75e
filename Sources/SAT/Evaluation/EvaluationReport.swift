internal import Foundation
internal import SwiftTorch

/// The JSON document of `sat evaluate`, `sat-evaluation/1`.
public struct EvaluationReport: Encodable, Sendable {
  public struct Data: Encodable, Sendable {
    public var name: String
    public var split: String
    public var samples: Int
  }

  public struct Proportion: Encodable, Sendable {
    public var correct: Int
    public var accuracy: Double
    public var interval: [Double]

    init(_ correct: Int, of samples: Int) {
      self.correct = correct
      accuracy = Double(correct) / Double(samples)
      let range = wilsonInterval(correct, of: samples)
      interval = [range.lowerBound, range.upperBound]
    }
  }

  public struct Threat: Encodable, Sendable {
    public var norm: String
    public var epsilon: Double
  }

  public struct Attack: Encodable, Sendable {
    public var name: String
    public var robust: Int
    public var seconds: Double
    public var forward: Int
    public var backward: Int
    /// What it ran with; absent where that is not known.
    public var parameters: AttackParameters?
  }

  public var format = "sat-evaluation/1"
  public var model: String
  public var data: Data
  public var seed: UInt64
  public var batchSize: Int
  public var mode: AttackMode
  /// The version of AutoAttack whose parameters the attacks had, or "individual"; absent where none of its attacks ran.
  public var version: String?
  public var seconds: Double
  public var clean: Proportion
  /// Absent when nothing was attacked.
  public var threat: Threat?
  public var attacks: [Attack]
  public var robust: Proportion?
  public var perClass: [Evaluation.ClassResult]
  public var flags: [String: [Int]]
  public var warnings: [Evaluation.Warning]
  public var versions: [String: String]

  /// - Parameter ran: the attacks, for their parameters.
  public init(
    _ evaluation: Evaluation, model: String, data: ImageDataset, threat: ThreatModel?, seed: UInt64, batchSize: Int,
    mode: AttackMode = .fast, version: String? = nil, attacks ran: [any SAT.Attack] = []
  ) {
    self.model = model
    (self.mode, self.version) = (mode, version)
    self.data = Data(name: data.name, split: data.split, samples: data.count)
    self.seed = seed
    self.batchSize = batchSize
    seconds = evaluation.seconds
    clean = Proportion(evaluation.cleanCorrect, of: data.count)
    self.threat = threat.map { Threat(norm: $0.norm.rawValue, epsilon: $0.epsilon) }
    attacks = evaluation.attacks.map { outcome in
      Attack(
        name: outcome.name, robust: outcome.robust, seconds: outcome.seconds, forward: outcome.cost.forward, backward: outcome.cost.backward,
        parameters: ran.first { $0.name == outcome.name }?.parameters)
    }
    robust = evaluation.attacks.isEmpty ? nil : Proportion(evaluation.robustCorrect, of: data.count)
    perClass = evaluation.perClass
    flags = ["clean": evaluation.clean.map { $0 ? 1 : 0 }]
    for attack in evaluation.attacks { flags[attack.name] = attack.flags.map { $0 ? 1 : 0 } }
    if !evaluation.attacks.isEmpty { flags["robust"] = evaluation.robust.map { $0 ? 1 : 0 } }
    warnings = evaluation.warnings
    versions = ["sat": SATVersion.current, "libtorch": Torch.version]
  }

  /// The document as text.
  public func json() throws -> String { try JSONText.encode(self) }
}

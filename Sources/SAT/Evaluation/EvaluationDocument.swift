internal import SwiftTorch

/// The JSON document of `sat evaluate`, `sat-evaluation/1`.
public struct EvaluationDocument: MeasurementDocument {
  public static let format = "sat-evaluation/1"
  public static var remedy: String { "make it again with `sat evaluate`" }

  /// A count of samples, its share of all, and Wilson's 95 % interval of the share.
  public struct Proportion: Codable, Sendable, Equatable {
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

  /// The result of one attack, with its cost in forward and backward passes of a sample.
  public struct Attack: Codable, Sendable, Equatable {
    public var name: String
    public var robust: Int
    public var seconds: Double
    public var forward: Int
    public var backward: Int
    /// The attack's parameters; absent if they are unknown.
    public var parameters: AttackParameters?
  }

  /// The archive that held the model.
  public struct Archive: Codable, Sendable, Equatable {
    public var form = "torchscript"
    /// True if its code could reach files, processes or the network, and the user trusted it.
    public var trusted: Bool
  }

  public private(set) var format: String = Self.format
  public var model: String
  public var data: ImageDataset.Summary
  public var seed: UInt64
  public var batchSize: Int
  public var mode: AttackMode
  /// The precision of the model's passes; absent in early documents.
  public var precision: Execution.Precision?
  /// Absent for other models than archives.
  public var archive: Archive?
  /// The device of the model, such as "cpu" or "cuda:0"; absent in early documents.
  public var device: String?
  /// The version of AutoAttack that set the attacks' parameters, or "individual"; absent if no attack of AutoAttack ran.
  public var version: AutoAttack.Version?
  public var seconds: Double
  public var clean: Proportion
  /// The threat model; absent if no attack ran.
  public var threat: ThreatModel?
  public var attacks: [Attack]
  public var robust: Proportion?
  public var perClass: [Evaluation.ClassResult]
  /// 1 for each sample that is still correct, else 0; the keys are "clean", the attacks' names and "robust".
  public var flags: [String: [Int]]
  public var warnings: [Evaluation.Warning]
  public var versions: [String: String]

  /// True if each attack ran on every sample that is correct when clean, not only on the samples that earlier attacks left.
  public var isIndividual: Bool { version == .individual }

  /// Makes the document of an evaluation. It states the parameters of the attacks that ran.
  public init(
    _ evaluation: Evaluation, model: String, data: ImageDataset, threat: ThreatModel?, seed: UInt64, batchSize: Int,
    mode: AttackMode = .fast, precision: Execution.Precision = .fp32, device: String = "cpu", version: AutoAttack.Version? = nil,
    attacks ran: [any SAT.Attack] = []
  ) {
    self.model = model
    self.data = data.summary
    self.seed = seed
    self.batchSize = batchSize
    self.mode = mode
    self.precision = precision
    self.device = device
    self.version = version
    self.threat = threat
    seconds = evaluation.seconds
    clean = Proportion(evaluation.cleanCorrect, of: data.count)
    attacks = evaluation.attacks.map { outcome in
      Attack(
        name: outcome.name, robust: outcome.robust, seconds: outcome.seconds, forward: outcome.cost.forward,
        backward: outcome.cost.backward, parameters: ran.first { $0.name == outcome.name }?.parameters)
    }
    robust = evaluation.attacks.isEmpty ? nil : Proportion(evaluation.robustCorrect, of: data.count)
    perClass = evaluation.perClass
    flags = ["clean": evaluation.clean.map { $0 ? 1 : 0 }]
    for attack in evaluation.attacks { flags[attack.name] = attack.flags.map { $0 ? 1 : 0 } }
    if !evaluation.attacks.isEmpty { flags["robust"] = evaluation.robust.map { $0 ? 1 : 0 } }
    warnings = evaluation.warnings
    versions = ["sat": SATVersion.current, "libtorch": Torch.version]
  }
}

extension EvaluationDocument {
  public var inconsistency: String? {
    guard Limit.samples.contains(data.samples) else { return "it states \(data.samples) samples" }
    return countInconsistency ?? classInconsistency ?? flagInconsistency
  }

  private func miscount(_ name: String, _ value: Int) -> String? {
    (0...data.samples).contains(value) ? nil : "\(name) counts \(value) of \(data.samples) samples"
  }

  private var countInconsistency: String? {
    for (name, proportion) in [("clean", clean), ("robust", robust)] {
      guard let proportion else { continue }
      if let wrong = miscount(name, proportion.correct) { return wrong }
      if proportion.interval.count != 2 { return "\(name).interval has \(proportion.interval.count) ends" }
    }
    for attack in attacks { if let wrong = miscount(attack.name, attack.robust) { return wrong } }
    if attacks.isEmpty == (robust == nil) { return nil }
    return attacks.isEmpty ? "robust has no attacks" : "its attacks have no robust"
  }

  private var classInconsistency: String? {
    for entry in perClass {
      let name = "class \(entry.class)"
      for value in [entry.samples, entry.clean, entry.robust] { if let wrong = miscount(name, value) { return wrong } }
      if max(entry.clean, entry.robust) > entry.samples { return "\(name) counts more than its \(entry.samples) samples" }
    }
    let classed = perClass.reduce(0) { $0 + $1.samples }
    return classed == data.samples ? nil : "perClass has \(classed) of \(data.samples) samples"
  }

  private var flagInconsistency: String? {
    let names = ["clean"] + attacks.map(\.name) + (robust == nil ? [] : ["robust"])
    if let missing = names.first(where: { flags[$0] == nil }) { return "flags.\(missing) is missing" }
    for (name, values) in flags.sorted(by: { $0.key < $1.key }) where values.count != data.samples {
      return "flags.\(name) has \(values.count) of \(data.samples) samples"
    }
    return nil
  }
}

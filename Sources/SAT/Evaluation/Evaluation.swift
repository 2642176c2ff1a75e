/// The result of an evaluation, with one entry per sample in data order.
public struct Evaluation: Sendable {
  /// The result of one attack.
  public struct Outcome: Sendable, Codable, Equatable {
    public var name: String
    /// For each sample, true if it is correct after this attack and, unless each attack ran by itself, the attacks before it.
    public var flags: [Bool]
    public var seconds: Double
    public var cost: AttackCost

    /// The number of samples that are still correct.
    public var robust: Int { flags.count { $0 } }
  }

  /// How an attack broke a sample.
  public struct Record: Sendable, Codable, Equatable {
    /// The sample's position in the data.
    public var sample: Int
    public var attack: String
    public var finding: Finding
    /// The perturbation's size in the threat model's norm.
    public var norm: Double
  }

  /// A fact about the model or the evaluation that puts the numbers in doubt.
  public struct Warning: Sendable, Codable, Equatable {
    /// The kind of a warning, by which documents name it.
    public enum Code: String, Sendable, Codable, CaseIterable {
      case randomized
      case softmaxOutput = "softmax-output"
      case trainingMode = "training-mode"
      case trustedArchive = "trusted-archive"
      case dropout
      case zeroGradient = "zero-gradient"
      case fewClasses = "few-classes"
      case inputRange = "input-range"
      case squareBetter = "square-better"
      case nonFinite = "non-finite"
      case notDifferentiable = "not-differentiable"
      case dynamicDefense = "dynamic-defense"
    }
    public var code: Code
    public var message: String

    public init(code: Code, message: String) {
      self.code = code
      self.message = message
    }
  }

  public var labels: [Int]
  /// The model's predictions on the clean images.
  public var predictions: [Int]
  public var attacks: [Outcome]
  /// The records in the order of the findings. If each attack ran by itself, a sample can occur several times.
  public var records: [Record]
  public var warnings: [Warning]
  public var seconds: Double

  public var clean: [Bool] { zip(labels, predictions).map { $0 == $1 } }
  /// For each sample, true if it is correct on the clean image and after every attack.
  public var robust: [Bool] { attacks.reduce(clean) { flags, attack in zip(flags, attack.flags).map { $0 && $1 } } }
  public var cleanCorrect: Int { clean.count { $0 } }
  public var robustCorrect: Int { robust.count { $0 } }

  /// The number of samples of a class, and how many of them are correct.
  public struct ClassResult: Sendable, Codable, Equatable {
    public var `class`: Int
    public var samples: Int
    public var clean: Int
    public var robust: Int

    static func counted(labels: [Int], clean: [Bool], robust: [Bool]) -> [ClassResult] {
      Dictionary(grouping: labels.indices) { labels[$0] }.map { label, samples in
        ClassResult(class: label, samples: samples.count, clean: samples.count { clean[$0] }, robust: samples.count { robust[$0] })
      }.sorted { $0.class < $1.class }
    }
  }

  public var perClass: [ClassResult] { ClassResult.counted(labels: labels, clean: clean, robust: robust) }
}

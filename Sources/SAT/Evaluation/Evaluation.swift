/// The result of an evaluation, with one entry per sample in data order.
public struct Evaluation: Sendable {
  /// The result of one attack.
  public struct Outcome: Sendable, Codable, Equatable {
    public var name: String
    /// For each sample, true if it is still classified correctly after this attack and the attacks before it.
    ///
    /// If each attack ran by itself, the flag is about this attack alone.
    public var flags: [Bool]
    public var seconds: Double
    public var cost: AttackCost

    /// The number of samples that are still classified correctly.
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
    public enum Code: String, Sendable, Codable, CaseIterable {
      case randomized
      case softmaxOutput = "softmax-output"
      case trainingMode = "training-mode"
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
  /// The records in the order in which the attacks found them.
  ///
  /// If each attack ran by itself, a sample can occur several times.
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

    /// Counts the samples of each label that occurs.
    static func counted(labels: [Int], clean: [Bool], robust: [Bool]) -> [ClassResult] {
      var results: [Int: ClassResult] = [:]
      for (i, label) in labels.enumerated() {
        var entry = results[label] ?? ClassResult(class: label, samples: 0, clean: 0, robust: 0)
        entry.samples += 1
        entry.clean += clean[i] ? 1 : 0
        entry.robust += robust[i] ? 1 : 0
        results[label] = entry
      }
      return results.values.sorted { $0.class < $1.class }
    }
  }

  public var perClass: [ClassResult] { ClassResult.counted(labels: labels, clean: clean, robust: robust) }
}

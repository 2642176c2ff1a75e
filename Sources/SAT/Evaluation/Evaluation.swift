/// What an evaluation found, sample by sample in data order.
public struct Evaluation: Sendable {
  /// What one attack did.
  public struct Outcome: Sendable, Codable, Equatable {
    public var name: String
    /// Whether a sample is still classified correctly: after this attack and those before it, or after this attack alone where each
    /// was run by itself.
    public var flags: [Bool]
    public var seconds: Double
    public var cost: AttackCost

    /// How many samples are left.
    public var robust: Int { flags.count { $0 } }
  }

  /// A sample that an attack broke.
  public struct Record: Sendable, Codable, Equatable {
    /// Position in the data.
    public var sample: Int
    public var attack: String
    public var finding: Finding
    /// Size of the perturbation in the threat model's norm.
    public var norm: Double
  }

  /// Something about the model or the run that puts the numbers in doubt.
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
  /// The class the model answers on the clean image.
  public var predictions: [Int]
  public var attacks: [Outcome]
  /// In the order in which they were found; where each attack was run by itself a sample can occur several times.
  public var records: [Record]
  public var warnings: [Warning]
  public var seconds: Double

  public var clean: [Bool] { zip(labels, predictions).map { $0 == $1 } }
  /// Correct on the clean image and after every attack.
  public var robust: [Bool] {
    attacks.reduce(clean) { flags, attack in zip(flags, attack.flags).map { $0 && $1 } }
  }
  public var cleanCorrect: Int { clean.count { $0 } }
  public var robustCorrect: Int { robust.count { $0 } }

  /// How many samples of a class there are, and how many of them are still right.
  public struct ClassResult: Sendable, Codable, Equatable {
    public var `class`: Int
    public var samples: Int
    public var clean: Int
    public var robust: Int

    /// Counts by true class, of the classes that occur.
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

/// The JSON document of `sat verify`, `sat-verification/1`.
///
/// It tells which claims about saved adversarial images hold, without trusting the run that made them.
public struct Verification: VersionedDocument {
  public static let format = "sat-verification/1"

  /// One thing that has to hold.
  public struct Check: Codable, Sendable, Equatable {
    public var name: String
    public var holds: Bool
    /// What was asked.
    public var question: String
    /// Positions of samples for which it does not hold.
    public var failed: [Int]
    /// What else does not hold, in words.
    public var contradictions: [String] = []

    init(_ name: String, _ question: String, failed: [Int] = [], contradictions: [String] = []) {
      self.name = name
      self.question = question
      self.failed = failed
      self.contradictions = contradictions
      holds = failed.isEmpty && contradictions.isEmpty
    }
  }

  /// What is left when pixels are stored as bytes.
  public struct EightBit: Codable, Sendable, Equatable {
    /// Adversarial images that are still misclassified when rounded to the nearest byte.
    public var misclassified = 0
    /// Those of them that are then still within epsilon.
    public var withinEpsilon = 0
    /// Adversarial images that are misclassified when every pixel is rounded towards the original, which keeps them within epsilon.
    public var towardsOriginal = 0
  }

  public private(set) var format: String = Self.format
  public var file: String
  public var model: String
  public var threat: ThreatModel
  public var samples: Int
  /// Samples the file says were broken.
  public var adversarial: Int
  public var holds: Bool
  public var checks: [Check]
  /// Size of the largest perturbation in the threat model's norm; absent where a pixel is not a number, as the check "finite" says.
  public var largestPerturbation: Double?
  /// Accuracy that the file's own images show, counted anew.
  public var robust: EvaluationDocument.Proportion
  public var eightBit: EightBit
  /// What puts the answers above in doubt.
  public var warnings: [Evaluation.Warning]
}

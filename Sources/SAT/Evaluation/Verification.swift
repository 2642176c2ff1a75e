/// The JSON document of `sat verify`, `sat-verification/1`: the claims about saved adversarial images, and which of them hold.
public struct Verification: VersionedDocument {
  public static let format = "sat-verification/1"

  /// One claim that must hold.
  public struct Check: Codable, Sendable, Equatable {
    public var name: String
    public var holds: Bool
    /// The claim in words.
    public var question: String
    /// Positions of samples for which the claim does not hold.
    public var failed: [Int]
    /// Other contradictions, one sentence each.
    public var contradictions: [String] = []

    init(_ name: String, _ question: String, failed: [Int] = [], contradictions: [String] = []) {
      self.name = name
      self.question = question
      self.failed = failed
      self.contradictions = contradictions
      holds = failed.isEmpty && contradictions.isEmpty
    }
  }

  /// The adversarial images that survive when pixels are stored as bytes.
  public struct EightBit: Codable, Sendable, Equatable {
    /// Adversarial images that are still misclassified when rounded to the nearest byte.
    public var misclassified = 0
    /// The number of these images that are still within epsilon.
    public var withinEpsilon = 0
    /// Adversarial images that are misclassified when every pixel is rounded towards the original, which stays within epsilon.
    public var towardsOriginal = 0
  }

  public private(set) var format: String = Self.format
  public var file: String
  public var model: String
  public var threat: ThreatModel
  public var samples: Int
  /// The number of samples that the file counts as broken.
  public var adversarial: Int
  public var holds: Bool
  public var checks: [Check]
  /// The size of the largest perturbation in the threat model's norm; absent if a pixel is not finite (see the check "finite").
  public var largestPerturbation: Double?
  /// The accuracy on the file's images, counted again.
  public var robust: EvaluationDocument.Proportion
  public var eightBit: EightBit
  public var warnings: [Evaluation.Warning]
}

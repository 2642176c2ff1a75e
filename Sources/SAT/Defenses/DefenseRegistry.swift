/// The methods `sat train --method` knows. Adding one is a file with its `entry`, and a line here.
///
/// A method's type has the method's name: the acronym, or words for its first letters before `AT` or `SAT`.
public enum DefenseRegistry {
  public struct Entry: Sendable {
    public let name: String
    /// What it does, in a few words.
    public let summary: String
    /// Whether a schedule of lambda shapes it.
    public let usesLambda: Bool
    /// What lambda may be.
    public let lambdaRange: ClosedRange<Double>
    /// Settings of its own, in the order they are listed.
    public let options: [MethodOption]
    /// Fits a preset, which is written for P-SAT, to the method; the options have their defaults by then.
    let adapt: @Sendable (inout AdaptableSettings) -> Void
    public let make: @Sendable (DefenseSettings) -> any Defense

    init(
      name: String, summary: String, usesLambda: Bool = false,
      lambdaRange: ClosedRange<Double> = -Limit.number.upperBound...Limit.number.upperBound, options: [MethodOption] = [],
      adapt: @escaping @Sendable (inout AdaptableSettings) -> Void = { _ in },
      make: @escaping @Sendable (DefenseSettings) -> any Defense
    ) {
      self.name = name
      self.summary = summary
      self.usesLambda = usesLambda
      self.lambdaRange = lambdaRange
      self.options = options
      self.adapt = adapt
      self.make = make
    }
  }

  public static let entries: [Entry] = [
    AdversarialTraining.entry, ProbabilitySAT.entry, HessianSAT.entry, TRADES.entry, DynamicAT.entry, CAT20.entry,
    CAT18.entry, InstanceAdaptiveAT.entry, EpsilonSchedule.entry, FriendlyAT.entry, MART.entry, FastAT.entry, FreeAT.entry,
  ]

  /// - Throws: `SATError` for a name that is not in the registry.
  public static func entry(named name: String) throws(SATError) -> Entry {
    guard let entry = entries.first(where: { $0.name == name }) else {
      let names = entries.map(\.name)
      let question = Suggestion.question(about: name, among: names)
      throw SATError("method '\(name)' is not known; expected one of \(names.joined(separator: ", "))\(question)")
    }
    return entry
  }
}

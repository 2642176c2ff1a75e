/// The methods that `sat train --method` accepts.
///
/// A new method needs a file with its `entry` and a line here. Its type is named after the method: either the acronym, or words for
/// the letters before `AT` or `SAT`.
public enum DefenseRegistry {
  public struct Entry: Sendable {
    public let name: String
    /// A short description of the method.
    public let summary: String
    /// True if the method follows a schedule of lambda.
    public let usesLambda: Bool
    /// The allowed values of lambda.
    public let lambdaRange: ClosedRange<Double>
    /// The method's own settings, in the order of their listing.
    public let options: [MethodOption]
    /// Adapts a preset, which is written for P-SAT, to the method; the options already have their defaults.
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

  /// Returns the entry of a method.
  ///
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

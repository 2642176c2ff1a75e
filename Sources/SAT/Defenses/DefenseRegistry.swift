/// The methods that `sat train --method` accepts.
///
/// A new method needs a file with its `entry` and a line here. Its type is named after the method: either the acronym, or words for
/// the letters before `AT` or `SAT`.
public enum DefenseRegistry {
  /// A method that users can name: its name, its options, and how to make it.
  public struct Entry: Sendable {
    public let name: String
    public let summary: String
    /// True if the method follows a schedule of lambda.
    public private(set) var usesLambda = false
    /// The method's own word for its lambda, with the value: "lambda 0.50", or "tau 2" for FAT.
    public private(set) var lambdaText: @Sendable (Double) -> String = { "lambda \(decimal($0, 2))" }
    /// The allowed values of lambda.
    public private(set) var lambdaRange = -Limit.number.upperBound...Limit.number.upperBound
    /// True if training attacks with the configuration's `attack`. Else the method brings its own steps, and `attack` sets only the
    /// PGD of validation.
    public private(set) var usesAttack = true
    /// The method's own settings, in the order of their listing.
    public private(set) var options: [MethodOption] = []
    /// Adapts a preset, which is written for P-SAT, to the method; the options already have their defaults.
    private(set) var adapt: @Sendable (inout AdaptableSettings) -> Void = { _ in }
    public let make: @Sendable (DefenseSettings) -> any Defense
  }

  public static let entries: [Entry] = [
    AdversarialTraining.entry, ProbabilitySAT.entry, HessianSAT.entry, TRADES.entry, DynamicAT.entry, CAT20.entry,
    CAT18.entry, InstanceAdaptiveAT.entry, EpsilonSchedule.entry, FriendlyAT.entry, MART.entry, FastAT.entry, FreeAT.entry,
  ]

  /// Returns the entry of a method; throws `SATError` for a name that is not in the registry.
  public static func entry(named name: String) throws(SATError) -> Entry {
    guard let entry = entries.first(where: { $0.name == name }) else {
      let names = entries.map(\.name)
      let question = Suggestion.question(about: name, among: names)
      throw SATError("method '\(name)' is not known; expected one of \(names.joined(separator: ", "))\(question)")
    }
    return entry
  }
}

/// The settings of a preset that a method may adapt, with the facts about the preset that it needs for that.
///
/// Training copies the adapted values back into its configuration.
struct AdaptableSettings {
  /// The name of the data set, or the path of a data file.
  let data: String
  /// The network's name in the catalogue.
  let network: String
  let epsilon: Double
  var options: MethodOptions
  var lambda: Schedule
  var epochs: Int
  var augmentation: Augmentation
  /// The step length of the inner maximisation.
  var stepSize: Fraction
  var learningRate: Double
  var weightDecay: Double
  var learningRateSchedule: LearningRateSettings
}

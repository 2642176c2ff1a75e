/// The settings of a preset that a method may adapt, with the facts about the preset that it needs for that.
///
/// Presets are written for P-SAT. Training copies the adapted values back into its configuration.
struct AdaptableSettings {
  /// The name of the data set, or the path of a data file.
  let data: String
  /// The network's name in the catalogue.
  let network: String
  /// The radius of the threat model.
  let epsilon: Double
  /// The method's options, with their defaults.
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

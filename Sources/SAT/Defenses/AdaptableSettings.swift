/// The settings of a preset that a method may change to suit itself, and the facts about the preset that it decides by.
///
/// Presets are written for P-SAT. Training copies these values back into its configuration.
struct AdaptableSettings {
  /// Name of the data set, or path of a data file.
  let data: String
  /// Name of the network in the catalogue.
  let network: String
  /// Radius of the threat model.
  let epsilon: Double
  /// The method's options, with their defaults.
  var options: MethodOptions
  var lambda: Schedule
  var epochs: Int
  var augmentation: Augmentation
  /// Length of a step of the inner maximisation.
  var stepSize: Fraction
  var learningRate: Double
  var weightDecay: Double
  var learningRateSchedule: LearningRateSettings
}

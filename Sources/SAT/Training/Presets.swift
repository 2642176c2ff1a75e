/// Named configurations: Appendix A of the paper, and the demonstration.
public enum Presets {
  public struct Entry: Sendable {
    public let name: String
    /// What it is, in a few words.
    public let summary: String
    public let configuration: TrainingConfiguration
  }

  public static let entries: [Entry] = [
    Entry(
      name: "digits", summary: "the demonstration: 5,000 real digits, epsilon 0.3, minutes on a laptop",
      configuration: {
        var digits = mnist(epsilon: 0.3)
        digits.preset = "digits"
        digits.data = "digits"
        digits.epochs = 14
        // Lambda raised from epoch 2 on instead ends as AT does here, in a constant prediction.
        digits.lambda = .linear(initial: 0, final: 1, start: 5, end: 11)
        digits.learningRateSchedule = LearningRateSettings(kind: .constant)
        return digits
      }()),
    Entry(name: "mnist-0.3", summary: "the paper's MNIST at epsilon 0.3", configuration: mnist(epsilon: 0.3)),
    Entry(name: "mnist-0.45", summary: "the paper's MNIST at epsilon 0.45", configuration: mnist(epsilon: 0.45)),
  ]

  /// The preset for its own method or another.
  ///
  /// - Throws: `SATError` for a name that is not a preset's, or a method that is not known.
  public static func configuration(named name: String, method: String? = nil) throws(SATError) -> TrainingConfiguration {
    guard let entry = entries.first(where: { $0.name == name }) else {
      throw SATError("preset '\(name)' is not known; expected one of \(entries.map(\.name).joined(separator: ", "))")
    }
    return try entry.configuration.adapted(to: method ?? entry.configuration.method)
  }

  /// Appendix A.1: 70 epochs, SGD 0.01 divided by 10 at 40, 50 and 60, lambda in thirds at 30, 45 and 60.
  private static func mnist(epsilon: Fraction) -> TrainingConfiguration {
    TrainingConfiguration(
      preset: "mnist-\(epsilon)", method: "p-sat", data: "mnist", model: Architecture(name: "mnist-cnn"), from: "none", normalization: "none",
      threat: .init(norm: .linf, epsilon: epsilon), attack: .init(steps: 40, stepSize: 0.02, randomStart: true),
      lambda: .step(
        initial: 0,
        milestones: [.init(epoch: 30, value: 1.0 / 3), .init(epoch: 45, value: 2.0 / 3), .init(epoch: 60, value: 1)]),
      epochs: 70, batchSize: 128,
      optimizer: .init(name: .sgd, learningRate: 0.01, momentum: 0.9, nesterov: false, weightDecay: 5e-4, maxGradientNorm: 0),
      learningRateSchedule: LearningRateSettings(kind: .multiStep, milestones: [40, 50, 60]), averaging: .init(),
      validation: .init(every: 1), checkpoints: .init(), logSteps: false, seed: 0, execution: Execution())
  }
}

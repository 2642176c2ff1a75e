/// The named configurations: the paper's Appendix A and a demonstration.
public enum Presets {
  public struct Entry: Sendable {
    public let name: String
    /// A short description.
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
        // With a lambda that rises from epoch 2 on, training ends in a constant prediction, as AT does here.
        digits.lambda = .linear(initial: 0, final: 1, start: 5, end: 11)
        digits.learningRateSchedule = LearningRateSettings(kind: .constant)
        return digits
      }()), Entry(name: "mnist-0.3", summary: "the paper's MNIST at epsilon 0.3", configuration: mnist(epsilon: 0.3)),
    Entry(name: "mnist-0.45", summary: "the paper's MNIST at epsilon 0.45", configuration: mnist(epsilon: 0.45)),
    Entry(
      name: "cifar10-prn20", summary: "the paper's CIFAR-10, PreActResNet, epsilon 8/255", configuration: preActResNet("cifar10", 8)
    ), Entry(name: "cifar10-prn20-16", summary: "the same at epsilon 16/255", configuration: preActResNet("cifar10", 16)),
    Entry(name: "cifar10-prn20-24", summary: "the same at epsilon 24/255", configuration: preActResNet("cifar10", 24)),
    Entry(
      name: "cifar10-wrn34-10", summary: "the paper's CIFAR-10, WideResNet, epsilon 8/255", configuration: wideResNet("cifar10")),
    Entry(
      name: "cifar100-prn20", summary: "the paper's CIFAR-100, PreActResNet, epsilon 8/255",
      configuration: preActResNet("cifar100", 8)),
    Entry(
      name: "cifar100-wrn34-10", summary: "the paper's CIFAR-100, WideResNet, epsilon 8/255",
      configuration: wideResNet("cifar100")),
    Entry(name: "imagenette-rn34-16", summary: "the paper's Imagenette, ResNet-34, epsilon 16/255", configuration: imagenette(16)),
    Entry(name: "imagenette-rn34-24", summary: "the same at epsilon 24/255", configuration: imagenette(24)),
  ]

  /// Returns a preset, adapted to a method; nil for the preset's own method.
  ///
  /// - Throws: `SATError` for an unknown preset or method.
  public static func configuration(named name: String, method: String? = nil) throws(SATError) -> TrainingConfiguration {
    guard let entry = entries.first(where: { $0.name == name }) else {
      throw SATError("preset '\(name)' is not known; expected one of \(entries.map(\.name).joined(separator: ", "))")
    }
    return try entry.configuration.adapted(to: method ?? entry.configuration.method)
  }

  /// Returns the settings of Appendix A.1.
  ///
  /// They are 70 epochs, SGD with the rate 0.01 divided by 10 at epochs 40, 50 and 60, and lambda in thirds at 30, 45 and 60.
  private static func mnist(epsilon: Fraction) -> TrainingConfiguration {
    TrainingConfiguration(
      preset: "mnist-\(epsilon)", method: "p-sat", data: "mnist", model: Architecture(name: "mnist-cnn"), from: "none",
      normalization: "none", threat: .init(norm: .linf, epsilon: epsilon),
      attack: .init(steps: 40, stepSize: 0.02, randomStart: true), lambda: thirds(at: [30, 45, 60]), epochs: 70, batchSize: 128,
      optimizer: .init(name: .sgd, learningRate: 0.01, momentum: 0.9, nesterov: false, weightDecay: 5e-4, maxGradientNorm: 0),
      learningRateSchedule: LearningRateSettings(kind: .multiStep, milestones: [40, 50, 60]), averaging: .init(),
      validation: .init(every: 1), checkpoints: .init(), logSteps: false, seed: 0, execution: Execution())
  }

  /// Returns the settings of Appendix A.2.
  ///
  /// They are 100 epochs, SGD with the rate 0.05 divided by 10 at epochs 40, 60 and 80, and lambda in thirds at the same epochs.
  /// The paper gives the step 2/255 only for 8/255. The larger balls use a quarter of epsilon too, as the authors' configuration
  /// does for 16/255.
  private static func preActResNet(_ data: String, _ epsilon: Int) -> TrainingConfiguration {
    var result = mnist(epsilon: .over255(epsilon))
    result.preset = "\(data)-prn20\(epsilon == 8 ? "" : "-\(epsilon)")"
    result.data = data
    result.model = Architecture(name: "prn20", options: data == "cifar100" ? ["classes": "100"] : [:])
    result.augmentation = .paper
    result.attack = .init(steps: 10, stepSize: .over255(epsilon / 4), randomStart: true)
    result.lambda = thirds(at: [40, 60, 80])
    result.epochs = 100
    result.optimizer.learningRate = 0.05
    result.optimizer.weightDecay = data == "cifar100" ? 2e-4 : 5e-4
    result.learningRateSchedule = LearningRateSettings(kind: .multiStep, milestones: [40, 60, 80])
    return result
  }

  /// Returns the PreActResNet's settings with the learning rate 0.1 and a lambda that rises at epochs 30, 40 and 50.
  private static func wideResNet(_ data: String) -> TrainingConfiguration {
    var result = preActResNet(data, 8)
    result.preset = "\(data)-wrn34-10"
    result.model = Architecture(name: "wrn34-10", options: data == "cifar100" ? ["classes": "100"] : [:])
    result.lambda = thirds(at: [30, 40, 50])
    result.optimizer.learningRate = 0.1
    return result
  }

  /// Returns the settings of Appendix A.3, "almost identical to CIFAR-10", with the learning rate 0.1.
  ///
  /// The steps, the augmentation and lambda's schedule are this project's choice. The paper draws two schedules and calls the
  /// linear one "used in all datasets" (Fig. 5b).
  private static func imagenette(_ epsilon: Int) -> TrainingConfiguration {
    var result = preActResNet("imagenette", epsilon)
    result.preset = "imagenette-rn34-\(epsilon)"
    result.model = Architecture(name: "resnet34")
    result.augmentation = .imagenette
    result.lambda = .linear(initial: 0, final: 1, start: 30, end: 70)
    result.optimizer.learningRate = 0.1
    return result
  }

  private static func thirds(at epochs: [Int]) -> Schedule {
    .step(initial: 0, milestones: epochs.enumerated().map { .init(epoch: $1, value: $0 == 2 ? 1 : Double($0 + 1) / 3) })
  }
}

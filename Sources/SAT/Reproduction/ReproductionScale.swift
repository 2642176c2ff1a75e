/// The share of the paper's work that a reproduction does.
public struct ReproductionScale: Sendable, Equatable {
  /// The name of a scale.
  public enum Name: String, Sendable, CaseIterable, Codable {
    /// Minutes on two cores. It shows that everything runs; its accuracies mean nothing.
    case smoke
    /// About an hour, for MNIST's settings on two cores and for the others on a GPU.
    case small
    /// Appendix A in full.
    case paper
  }

  /// The limits of a scale. Nil keeps the paper's value.
  struct Limits: Sendable, Equatable {
    var epochs: Int?
    var steps: Int?
    var trainingImages: Int?
    var testImages: Int?
    /// The steps of the PGD that replaces AutoAttack; nil for AutoAttack.
    var pgdSteps: Int?
    /// Training images for Fig. 1 and 4. The paper does not state their number.
    var smoothnessImages: Int
    /// Training images for Fig. 7. The paper uses ten batches of 128.
    var spectrumImages: Int
    /// Points of Fig. 1's grid along each direction.
    var gridPoints: Int
  }

  public let name: Name

  public init(_ name: Name) { self.name = name }

  func limits(_ configuration: TrainingConfiguration) -> Limits {
    let network = configuration.model.name
    return switch (name, network) {
    case (.paper, _): Limits(smoothnessImages: 512, spectrumImages: 1280, gridPoints: 51)
    case (.small, "mnist-cnn"):
      Limits(epochs: 14, steps: 10, testImages: 500, smoothnessImages: 256, spectrumImages: 256, gridPoints: 21)
    case (.small, _):
      Limits(
        epochs: 10, steps: 5, trainingImages: 5000, testImages: 500, smoothnessImages: 256, spectrumImages: 256, gridPoints: 21)
    case (.smoke, "mnist-cnn"):
      Limits(
        epochs: 2, steps: 4, trainingImages: 400, testImages: 50, pgdSteps: 10, smoothnessImages: 16, spectrumImages: 16,
        gridPoints: 5)
    case (.smoke, "resnet34"):
      Limits(
        epochs: 1, steps: 2, trainingImages: 30, testImages: 10, pgdSteps: 2, smoothnessImages: 4, spectrumImages: 4, gridPoints: 5)
    case (.smoke, _):
      Limits(
        epochs: 1, steps: 2, trainingImages: 100, testImages: 20, pgdSteps: 2, smoothnessImages: 8, spectrumImages: 8, gridPoints: 5
      )
    }
  }

  /// The smallest number of images per class, because validation takes a tenth of each class.
  static let imagesPerClass = 10

  /// Returns the paper's configuration at this scale, and the changes in words.
  func apply(
    to paper: TrainingConfiguration, for measurement: ReproductionItem.Measurement
  ) -> (configuration: TrainingConfiguration, changes: [String]) {
    var result = paper
    var changes: [String] = []
    let limits = limits(paper)
    if name != .paper && paper.data == "mnist" {
      result.data = "digits"
      changes.append("data digits (4,000 to train) instead of mnist (60,000)")
    }
    if name == .smoke && paper.model.name == "wrn34-10" {
      result.model.options.merge(["depth": "10", "width": "1"]) { $1 }
      changes.append("a WideResNet of depth 10 and width 1 instead of 34 and 10")
    }
    if let epochs = limits.epochs, epochs != paper.epochs {
      result.compress(to: epochs)
      changes.append("\(epochs) epoch\(epochs == 1 ? "" : "s") instead of \(paper.epochs), the schedules in proportion")
    }
    if let steps = limits.steps, steps < paper.attack.steps {
      // Fewer steps cover the same distance, but one step never exceeds the radius.
      let size = min(paper.threat.epsilon.value, paper.attack.stepSize.value * Double(paper.attack.steps) / Double(steps))
      result.attack.steps = steps
      result.attack.stepSize = Fraction(size)
      let (here, there) = (Self.short(Fraction(size)), Self.short(paper.attack.stepSize))
      changes.append("\(steps) training steps of \(here) instead of \(paper.attack.steps) of \(there)")
    }
    if let images = limits.trainingImages {
      let classes = images / Self.imagesPerClass
      let all = (try? paper.model.resolvedOptions()["classes"]) ?? 10
      changes.append(
        "\(images) training images, evenly spread" + (classes < all ? ", of the first \(classes) of \(all) classes" : ""))
    }
    return (result, changes + measuringChanges(limits, measurement))
  }

  private static func short(_ fraction: Fraction) -> String {
    let text = fraction.description
    return text.contains("/") ? text : significant(fraction.value)
  }

  private func measuringChanges(_ limits: Limits, _ measurement: ReproductionItem.Measurement) -> [String] {
    switch measurement {
    case .schedule, .perturbation: []
    case .accuracy, .images:
      [
        limits.testImages.map { "\($0) test images, evenly spread" },
        limits.pgdSteps.map { "PGD of \($0) steps instead of AutoAttack" },
      ].compactMap { $0 }
    case .smoothness: name == .paper ? [] : ["measured on \(limits.smoothnessImages) training images"]
    case .landscape:
      name == .paper ? [] : ["\(limits.gridPoints) points along each direction, \(limits.smoothnessImages) training images"]
    case .spectrum: name == .paper ? [] : ["\(limits.spectrumImages) training images instead of 1280"]
    }
  }
}

extension TrainingConfiguration {
  /// Changes the number of epochs, and moves the epochs of the schedules in proportion.
  mutating func compress(to count: Int) {
    let old = Double(epochs)
    func moved(_ epoch: Int) -> Int { Int((Double(epoch) * Double(count) / old).rounded()) }
    learningRateSchedule.milestones = learningRateSchedule.milestones.map(moved)
    switch lambda {
    case .constant: break
    case .step(let initial, let milestones):
      // If milestones fall on the same epoch, the last counts.
      var kept: [Schedule.Milestone] = []
      for milestone in milestones.map({ Schedule.Milestone(epoch: moved($0.epoch), value: $0.value) }) {
        if kept.last?.epoch == milestone.epoch { kept.removeLast() }
        kept.append(milestone)
      }
      lambda = .step(initial: initial, milestones: kept)
    case .linear(let initial, let final, let start, let end):
      lambda = .linear(initial: initial, final: final, start: moved(start), end: max(moved(end), moved(start) + 1))
    }
    epochs = count
  }
}

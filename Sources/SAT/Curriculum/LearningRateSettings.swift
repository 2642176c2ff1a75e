internal import SwiftTorch

/// The learning rate over the epochs, as it is written in a configuration.
public struct LearningRateSettings: Codable, Sendable, Equatable {
  public enum Kind: String, ConfigurationWord, Sendable {
    case constant
    case multiStep = "multi-step"
    case cosine
    /// From nothing up to the rate and down again, a step at a time, as Fast AT trains (`CyclicLR`, triangular).
    case cyclic
  }

  public var kind: Kind
  /// Of `multi-step`: the 0-based epochs from which on the rate is lower by another factor.
  public var milestones: [Int]
  /// Of `multi-step`: the factor.
  public var gamma: Double
  /// Of `cyclic`: the part of the run after which the rate is highest.
  public var peak: Double

  public init(kind: Kind, milestones: [Int] = [], gamma: Double = 0.1, peak: Double = 0.5) {
    self.kind = kind
    self.milestones = milestones
    self.gamma = gamma
    self.peak = peak
  }

  /// Whether another number of epochs changes the rates of all.
  var dependsOnLength: Bool { kind == .cosine || kind == .cyclic }

  /// Whether the rate changes inside an epoch.
  var isPerStep: Bool { kind == .cyclic }

  func schedule(epochs: Int) -> LearningRateSchedule {
    switch kind {
    case .constant: .constant
    case .multiStep: .multiStep(milestones, gamma: gamma)
    case .cosine: .cosine(epochs)
    case .cyclic: .piecewiseLinear([(0, 0), (peak * Double(epochs), 1), (Double(epochs), 0)])
    }
  }
}

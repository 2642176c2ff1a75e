internal import SwiftTorch

/// The learning-rate schedule as a configuration states it.
public struct LearningRateSettings: Codable, Sendable, Equatable {
  /// The shape of the schedule.
  public enum Kind: String, ConfigurationWord, Sendable {
    case constant
    case multiStep = "multi-step"
    case cosine
    /// Fast AT's rise from 0 to the rate and fall back to 0, linear with every update (`CyclicLR`, triangular).
    case cyclic
  }

  public var kind: Kind
  /// For `multi-step`: the 0-based epochs at which the rate is multiplied by `gamma`.
  public var milestones: [Int]
  /// For `multi-step`: the factor at each milestone.
  public var gamma: Double
  /// For `cyclic`: the fraction of the run after which the rate is highest.
  public var peak: Double

  public init(kind: Kind, milestones: [Int] = [], gamma: Double = 0.1, peak: Double = 0.5) {
    self.kind = kind
    self.milestones = milestones
    self.gamma = gamma
    self.peak = peak
  }

  /// True if the number of epochs affects the rate of every epoch.
  var dependsOnLength: Bool { kind == .cosine || kind == .cyclic }

  /// True if the rate changes inside an epoch.
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

import Foundation

/// A learning rate as a pure function of the time since training began. Therefore a resumed run needs no state.
///
/// The time is in epochs. It starts at 0 and has fractions inside an epoch. Epoch 40 of `multiStep([40])` is the first at the lower
/// rate, as in PyTorch when a program calls `scheduler.step()` after each epoch.
public struct LearningRateSchedule: Sendable {
  private let factor: @Sendable (Double) -> Double

  /// Makes a schedule from a function that maps the time in epochs to a factor of the base rate.
  public init(_ factor: @escaping @Sendable (Double) -> Double) { self.factor = factor }

  /// Returns the rate at a time in epochs.
  public func rate(_ base: Double, at epoch: Double) -> Double { base * factor(epoch) }

  /// Keeps the base rate.
  public static var constant: LearningRateSchedule { .init { _ in 1 } }

  /// Multiplies the rate by `gamma` at each milestone (`MultiStepLR`).
  public static func multiStep(_ milestones: [Int], gamma: Double = 0.1) -> LearningRateSchedule {
    .init { t in pow(gamma, Double(milestones.count { Double($0) <= t.rounded(.down) })) }
  }

  /// Multiplies the rate by `gamma` every `size` epochs (`StepLR`).
  public static func step(_ size: Int, gamma: Double = 0.1) -> LearningRateSchedule {
    .init { t in pow(gamma, (t.rounded(.down) / Double(size)).rounded(.down)) }
  }

  /// Multiplies the rate by `gamma` every epoch (`ExponentialLR`).
  public static func exponential(_ gamma: Double) -> LearningRateSchedule { .init { t in pow(gamma, t.rounded(.down)) } }

  /// Follows half a cosine from the base rate to `minimum` times the base rate over `epochs` (`CosineAnnealingLR`).
  public static func cosine(_ epochs: Int, minimum: Double = 0) -> LearningRateSchedule {
    .init { t in minimum + (1 - minimum) * (1 + cos(.pi * Swift.min(t, Double(epochs)) / Double(epochs))) / 2 }
  }

  /// Follows a straight line from `start` to `end` times the base rate over `epochs`, then stays level (`LinearLR`).
  public static func linear(from start: Double, to end: Double, epochs: Double) -> LearningRateSchedule {
    .init { t in start + (end - start) * Swift.min(t / epochs, 1) }
  }

  /// Follows straight lines between (epoch, factor) points and stays level outside them, as in the triangle of Fast AT.
  public static func piecewiseLinear(_ points: [(epoch: Double, factor: Double)]) -> LearningRateSchedule {
    require(!points.isEmpty, "piecewiseLinear: expected at least one point")
    return .init { t in
      guard let after = points.firstIndex(where: { $0.epoch > t }) else { return points.last!.factor }
      guard after > 0 else { return points[0].factor }
      let (a, b) = (points[after - 1], points[after])
      return a.factor + (b.factor - a.factor) * (t - a.epoch) / (b.epoch - a.epoch)
    }
  }
}

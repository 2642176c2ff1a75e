import Foundation

/// A learning rate as a pure function of the time since training began, so that a resumed run needs no state.
///
/// Time is in epochs, 0-based and fractional inside an epoch: epoch 40 of `multiStep([40])` is the first at the lower rate, as when
/// PyTorch's scheduler is stepped after each epoch.
public struct LearningRateSchedule: Sendable {
  private let factor: @Sendable (Double) -> Double

  /// - Parameter factor: what the base rate is multiplied with at a time.
  public init(_ factor: @escaping @Sendable (Double) -> Double) { self.factor = factor }

  /// The rate at a time, from the base rate.
  public func rate(_ base: Double, at epoch: Double) -> Double { base * factor(epoch) }

  /// Always the base rate.
  public static var constant: LearningRateSchedule { .init { _ in 1 } }

  /// Multiplied by `gamma` at each milestone (`MultiStepLR`).
  public static func multiStep(_ milestones: [Int], gamma: Double = 0.1) -> LearningRateSchedule {
    .init { t in pow(gamma, Double(milestones.count { Double($0) <= t.rounded(.down) })) }
  }

  /// Multiplied by `gamma` every `size` epochs (`StepLR`).
  public static func step(_ size: Int, gamma: Double = 0.1) -> LearningRateSchedule {
    .init { t in pow(gamma, (t.rounded(.down) / Double(size)).rounded(.down)) }
  }

  /// Multiplied by `gamma` every epoch (`ExponentialLR`).
  public static func exponential(_ gamma: Double) -> LearningRateSchedule { .init { t in pow(gamma, t.rounded(.down)) } }

  /// Half a cosine from the base rate to `minimum` times it over `epochs` (`CosineAnnealingLR`).
  public static func cosine(_ epochs: Int, minimum: Double = 0) -> LearningRateSchedule {
    .init { t in minimum + (1 - minimum) * (1 + cos(.pi * Swift.min(t, Double(epochs)) / Double(epochs))) / 2 }
  }

  /// A straight line from `start` to `end` times the base rate over `epochs`, level afterwards (`LinearLR`).
  public static func linear(from start: Double, to end: Double, epochs: Double) -> LearningRateSchedule {
    .init { t in start + (end - start) * Swift.min(t / epochs, 1) }
  }

  /// Straight lines between (epoch, factor) points, level outside them; a triangle for Fast AT's cyclic schedule.
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

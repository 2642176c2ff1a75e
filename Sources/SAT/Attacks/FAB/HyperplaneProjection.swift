internal import SwiftTorch

/// The smallest step from each point to a hyperplane inside the box [0, 1]: FAB's inner problem (Croce and Hein 2020, Eq. 4).
///
/// A multiplier λ lowers the distance by Σ |wᵢ| min(λ, slackᵢ) in L-inf and Σ |wᵢ| min(λ |wᵢ|, slackᵢ) in L2; slackᵢ is the
/// distance to the edge of the box. The sum is increasing, concave and piecewise linear, so Newton's method from 0 reaches the
/// root without passing it, in four or five sweeps. L1 needs sorting, because the steepest coordinates move first.
enum HyperplaneProjection {
  /// Returns the steps, [R, C, H, W]. If a plane misses the box, the step goes to the corner of the box nearest to the plane.
  ///
  /// `points` are x in [0, 1] and `normal` is w, both [R, C, H, W]. The step makes `distance`, ⟨w, x⟩ − b [R, 1, 1, 1], zero from
  /// either side.
  static func step(_ norm: Norm, from points: Tensor, normal: Tensor, distance: Tensor) -> Tensor {
    // The sign makes ⟨w, x⟩ fall.
    let downhill = -normal.sign() * (distance.greaterOrEqual(to: 0).to(points.dtype) * 2.0 - 1.0)
    var weight = normal.abs()
    // In L2 and L1 the reference does not move a coordinate below this weight.
    if norm != .linf { weight = weight * weight.greaterOrEqual(to: 1e-8).to(weight.dtype) }
    // The slack is 1 − x upwards and x downwards. A choice by mask takes ten times as long as this sum.
    let slack = ((downhill + 1.0) * 0.5 - points).abs()
    let goal = distance.abs()
    return downhill * (norm == .l1 ? greedy(weight, slack, goal) : newton(norm, weight, slack, goal))
  }

  private static func newton(_ norm: Norm, _ weight: Tensor, _ slack: Tensor, _ goal: Tensor) -> Tensor {
    let slope = norm == .linf ? weight : weight.square()
    func total(_ a: Tensor, _ b: Tensor) -> Tensor { (a * b).sum(dims: [1, 2, 3], keepDim: true) }
    var multiplier = Tensor.zeros(like: goal)
    var moved = Tensor.zeros(like: weight)
    for _ in 0..<50 {
      // In L-inf every coordinate moves as far. The direction is zero for a coordinate without weight.
      let free = norm == .linf ? multiplier : weight * multiplier
      moved = slack.minimum(free)
      let missing = goal - total(weight, moved)
      let climb = total(slope, slack.greater(than: free).to(slope.dtype))
      // If no coordinate can move, the plane is out of reach.
      let isDone = missing.lessOrEqual(to: goal * 1e-6) || climb.lessOrEqual(to: 0)
      if isDone.all().item() != 0 { break }
      multiplier = (multiplier + missing.clamped(to: 0...) / climb.clamped(to: 1e-38...)).replacing(with: multiplier, where: isDone)
    }
    return moved
  }

  /// Moves the coordinates of large weight first, each to the end of its slack.
  private static func greedy(_ weight: Tensor, _ slack: Tensor, _ goal: Tensor) -> Tensor {
    let (ordered, order) = weight.flattened(from: 1).sorted(dim: 1, descending: true)
    let gain = ordered * slack.flattened(from: 1).gathered(dim: 1, at: order)
    let before = gain.cumulativeSum(dim: 1) - gain
    let used = (goal.flattened(from: 1) - before).clamped(to: 0...).minimum(gain)
    let moved = (used / ordered.clamped(to: 1e-30...)) * ordered.greater(than: 0).to(ordered.dtype)
    return Tensor.zeros(like: moved).scatterInPlace(moved, dim: 1, at: order).reshaped(to: weight.shape)
  }
}

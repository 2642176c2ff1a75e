internal import SwiftTorch

/// The intersection of the L1 ball around an image with the box [0, 1].
enum L1Ball {
  /// Returns the Euclidean projection on {u : |u − x|₁ <= radius, 0 <= u <= 1}, exact up to rounding.
  ///
  /// The points z and clean images x in [0, 1] are [N, …], the radii [N]. With d = z − x, coordinate i of the solution moves by
  /// min(max(|dᵢ| − λ, 0), roomᵢ) towards zᵢ. Here roomᵢ is the distance from xᵢ to the box's side in that direction. λ >= 0 makes
  /// the moves sum to the radius; λ is 0 if the box alone keeps the sum within it.
  static func projected(_ points: Tensor, around clean: Tensor, radii: Tensor) -> Tensor {
    let radius = radii.unsqueezed(dim: 1)
    let offset = (points - clean).flattened(from: 1)
    let x = clean.flattened(from: 1)
    let length = offset.abs()
    let room = x.replacing(with: 1 - x, where: offset.greater(than: 0))
    let threshold = threshold(length, room, radius)
    var moved = (length - threshold).clamped(to: 0...).minimum(room)
    // A rounded threshold can leave the sum slightly above the radius; this factor, very near 1, corrects it.
    let total = moved.sum(dim: 1, keepDim: true)
    moved = moved * (radius / total.maximum(radius))
    return (x + moved * offset.sign()).clamped(to: 0...1).reshaped(to: clean.shape)
  }

  /// Does the same with one radius for all images.
  static func projected(_ points: Tensor, around clean: Tensor, radius: Double) -> Tensor {
    projected(points, around: clean, radii: Tensor.full([clean.size(0)], radius, dtype: clean.dtype, device: clean.device))
  }

  /// Returns λ [N, 1] with Σ min(max(|d| − λ, 0), room) = radius, or 0 if the sum at λ = 0 is smaller.
  ///
  /// The sum falls with λ and is piecewise linear, so Newton's step is exact once it is on the right piece. The sum is neither
  /// convex nor concave, so a bracket holds the root, and every third step may halve the bracket.
  private static func threshold(_ length: Tensor, _ room: Tensor, _ radius: Tensor) -> Tensor {
    var threshold = Tensor.zeros(like: length[.all, ..<1])
    var low = threshold
    var high = length.max(dims: [1], keepDim: true)
    for round in 0..<60 {
      let left = length - threshold
      let moved = left.clamped(to: 0...).minimum(room)
      let excess = moved.sum(dim: 1, keepDim: true) - radius
      let isOver = excess.greater(than: 0)
      low = low.replacing(with: threshold, where: isOver)
      high = threshold.replacing(with: high, where: isOver)
      // Counts the coordinates that neither the threshold nor the box limits.
      let slope = left.equal(to: moved).to(length.dtype).sum(dim: 1, keepDim: true)
      let newton = threshold + excess / slope.clamped(to: 1...)
      let isInside = newton.greaterOrEqual(to: low) && newton.lessOrEqual(to: high)
      let middle = (low + high) * 0.5
      let isNear = excess.abs().lessOrEqual(to: radius * 1e-3)
      // A row that is close enough stops, so that its result does not depend on the other rows of the batch.
      let isDone = excess.abs().lessOrEqual(to: radius * 1e-7) || high.lessOrEqual(to: 0)
      let next = middle.replacing(with: newton, where: round % 3 == 2 ? isInside && isNear : isInside)
        .replacing(with: threshold, where: isDone)
      if next.isEqual(to: threshold) { break }
      threshold = next
    }
    return threshold
  }
}

internal import SwiftTorch

/// The rule by which APGD moves its points in a norm and returns to the best points.
protocol APGDRule {
  /// Returns the next iterate x_{k+1}, [R, C, H, W].
  mutating func moved(_ points: APGDPoints, clean: Tensor) -> Tensor
  /// Takes the losses [R] after a step. At a checkpoint, returns the mask [R] of the rows that return to their best point.
  mutating func restored(_ points: APGDPoints, losses: Tensor, clean: Tensor) -> Tensor?
  func selecting(_ kept: Tensor) -> Self
  /// The current step size of every row, [R].
  var stepSizes: Tensor { get }
}

/// The reference's rule for L-inf and L2: steps with momentum, halved at checkpoints (Croce and Hein 2020, Algorithm 1).
struct MomentumRule: APGDRule {
  private let norm: Norm
  private let radius: Double
  private let decrement: Int
  private let shortest: Int
  private var period: Int
  private var sinceCheck = 0
  private var isFirst = true
  private var step: Tensor
  private var previous: Tensor
  // The number of times the loss has grown since the last checkpoint.
  private var rises: Tensor
  // The reference compares the first loss with a zero of its table, not with the loss of the starting point.
  private var lastLosses: Tensor
  private var wasReduced: Tensor
  private var bestAtCheck: Tensor
  // In L-inf the intersection of ball and box is a box.
  private var low: Tensor?
  private var high: Tensor?

  init(_ norm: Norm, radius: Double, iterations: Int, _ points: APGDPoints, clean: Tensor) {
    self.norm = norm
    self.radius = radius
    period = max(Int(0.22 * Double(iterations)), 1)
    decrement = max(Int(0.03 * Double(iterations)), 1)
    shortest = max(Int(0.06 * Double(iterations)), 1)
    previous = points.x
    bestAtCheck = points.bestLoss
    lastLosses = Tensor.zeros(like: points.bestLoss)
    rises = lastLosses
    step = Tensor.full(like: points.bestLoss, 2 * radius).reshaped(to: -1, 1, 1, 1)
    wasReduced = Tensor.ones(like: points.bestLoss).to(.bool)
    low = norm == .linf ? (clean - radius).clamped(to: 0...) : nil
    high = norm == .linf ? (clean + radius).clamped(to: ...1) : nil
  }

  var stepSizes: Tensor { step.flattened() }

  mutating func moved(_ points: APGDPoints, clean: Tensor) -> Tensor {
    // After a return to the best point this difference includes the jump, as in the reference.
    let difference = points.x - previous
    previous = points.x
    let direction = norm == .linf ? points.gradient.sign() : points.gradient / (points.gradient.autoAttackNorms(.l2) + 1e-12)
    let ahead = projected(points.x + step * direction, clean)
    let a = isFirst ? 1.0 : 0.75
    isFirst = false
    return projected(points.x + (ahead - points.x) * a + difference * (1 - a), clean)
  }

  private func projected(_ z: Tensor, _ clean: Tensor) -> Tensor {
    if let low, let high { return z.clamped(between: low, and: high) }
    let offset = z - clean
    let size = offset.autoAttackNorms(.l2)
    return (clean + offset / (size + 1e-12) * size.clamped(to: ...radius)).clampInPlace(to: 0...1)
  }

  mutating func restored(_ points: APGDPoints, losses: Tensor, clean: Tensor) -> Tensor? {
    rises += losses.greater(than: lastLosses).to(rises.dtype)
    lastLosses = losses
    sinceCheck += 1
    guard sinceCheck == period else { return nil }
    let oscillates = rises.lessOrEqual(to: Double(period) * 0.75)
    let restore = oscillates || (!wasReduced && bestAtCheck.greaterOrEqual(to: points.bestLoss))
    wasReduced = restore
    bestAtCheck = points.bestLoss
    step = step.replacing(with: step * 0.5, where: restore.reshaped(to: -1, 1, 1, 1))
    rises = Tensor.zeros(like: rises)
    sinceCheck = 0
    period = max(period - decrement, shortest)
    return restore
  }

  func selecting(_ kept: Tensor) -> MomentumRule {
    var part = self
    part.previous = previous.rows(at: kept)
    part.low = low?.rows(at: kept)
    part.high = high?.rows(at: kept)
    part.step = step.selecting(kept)
    part.rises = rises.selecting(kept)
    part.lastLosses = lastLosses.selecting(kept)
    part.wasReduced = wasReduced.selecting(kept)
    part.bestAtCheck = bestAtCheck.selecting(kept)
    return part
  }
}

/// The rule for L1: steps along the steepest values only; their number follows the best point's sparsity (Croce and Hein 2021).
struct SparseRule: APGDRule {
  private let radius: Double
  private let period: Int
  private var sinceCheck = 0
  private var step: Tensor
  /// The fraction of the values that move, [R].
  private var fraction: Tensor
  private var lastMoved: Tensor

  /// Makes a rule for one run. `isFresh` means a random start, not the end of an earlier run.
  init(radius: Double, iterations: Int, _ points: APGDPoints, clean: Tensor, isFresh: Bool) {
    self.radius = radius
    period = max(Int(0.04 * Double(iterations)), 1)
    step = Tensor.full(like: points.bestLoss, radius)
    let features = Double(clean[0].count)
    if isFresh {
      fraction = Tensor.full(like: points.bestLoss, 0.2)
      lastMoved = Tensor.full(like: points.bestLoss, features)
    } else {
      lastMoved = Self.moved(points.x, clean)
      fraction = lastMoved / features / 1.5
    }
  }

  var stepSizes: Tensor { step }

  private static func moved(_ x: Tensor, _ clean: Tensor) -> Tensor { x.notEqual(to: clean).to(clean.dtype).sum(dims: [1, 2, 3]) }

  mutating func moved(_ points: APGDPoints, clean: Tensor) -> Tensor {
    let features = clean[0].count
    let steepness = points.gradient.abs()
    // The threshold's position among the values in ascending order.
    let position = ((1 - fraction) * Double(features)).clamped(to: 0...Double(features - 1)).to(.int64)
    let largest = steepness.flattened(from: 1).topK(features - Int(position.min().item())).values
    let threshold = largest.gathered(dim: 1, at: (features - 1 - position).unsqueezed(dim: 1)).reshaped(to: -1, 1, 1, 1)
    let signs = points.gradient.sign() * steepness.greaterOrEqual(to: threshold).to(clean.dtype)
    let ahead = points.x + step.reshaped(to: -1, 1, 1, 1) * signs / (signs.autoAttackNorms(.l1) + 1e-10)
    return L1Ball.projected(ahead, around: clean, radius: radius)
  }

  mutating func restored(_ points: APGDPoints, losses: Tensor, clean: Tensor) -> Tensor? {
    sinceCheck += 1
    guard sinceCheck == period else { return nil }
    sinceCheck = 0
    let moved = Self.moved(points.best, clean)
    let restore = (moved / lastMoved).less(than: 0.95)
    step = (step / 1.5).replacing(with: Tensor.full(like: step, radius), where: restore).clamped(to: (radius / 10)...radius)
    fraction = moved / Double(clean[0].count) / 1.5
    lastMoved = moved
    return restore
  }

  func selecting(_ kept: Tensor) -> SparseRule {
    var part = self
    part.step = step.selecting(kept)
    part.fraction = fraction.selecting(kept)
    part.lastMoved = lastMoved.selecting(kept)
    return part
  }
}

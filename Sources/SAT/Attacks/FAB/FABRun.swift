internal import SwiftTorch

/// A linear model of the decision boundary nearest to each point.
private struct Boundary {
  /// The logit of another class minus the label's at the point, [R, 1, 1, 1].
  var difference: Tensor
  /// The gradient of `difference`, [R, C, H, W].
  var normal: Tensor

  func selecting(_ kept: Tensor) -> Boundary { Boundary(difference: difference.selecting(kept), normal: normal.rows(at: kept)) }
}

/// One run of FAB (Croce and Hein, ICML 2020): from a starting point towards the nearest point across the boundary.
struct FABRun {
  let threat: ThreatModel
  let iterations: Int
  /// Receives the smallest adversarial perturbations [R] so far after every step; infinite for rows without one.
  var onStep: (_ step: Int, _ smallest: Tensor) -> Void = { _, _ in }

  private static let overshoot = 1.05
  private static let largestBias = 0.1
  private static let retreat = 0.9

  func callAsFunction(_ rows: SearchRows, from start: Tensor) throws(TorchError) {
    var x = start
    var boundary = try forwardPass(rows, x).boundary()
    var smallest = Tensor.full(like: boundary.difference.flattened(), Double.infinity)
    for step in 1...iterations {
      x = withNoGrad { advanced(x, rows.clean, boundary) }
      let isLast = step == iterations
      let here = try forwardPass(rows, x, differentiable: !isLast)
      let isAdversarial = here.logits.detached().misclassifies(rows.labels)
      let size = withNoGrad { (x - rows.clean).autoAttackNorms(threat.norm).flattened() }
      let isSmaller = isAdversarial && size.less(than: smallest)
      smallest = smallest.replacing(with: size, where: isSmaller)
      onStep(step, smallest)
      // The reference has no tolerance either. If rows stay, only a smaller perturbation replaces an earlier one.
      let counts = (rows.mode == .compat ? isSmaller : isAdversarial) && size.lessOrEqual(to: threat.epsilon)
      let kept = try rows.recordHits(counts, at: x, step: step)
      if rows.count == 0 { return }
      if isLast {
        let end = kept.map { x.rows(at: $0) } ?? x
        return try rows.confirmInFloat32(at: withNoGrad { FeasibleSet(threat, around: rows.clean).projected(end) }, step: step)
      }
      boundary = try next(rows, &x, here, isAdversarial, kept)
      if let kept { smallest = smallest.selecting(kept) }
    }
  }

  /// Moves adversarial points back towards the clean images, and returns the boundary near all points.
  ///
  /// The pass that found the adversarial points also serves the other points, so only the moved points need another pass.
  private func next(
    _ rows: SearchRows, _ x: inout Tensor, _ here: ForwardPass, _ isAdversarial: Tensor, _ kept: Tensor?
  ) throws(TorchError) -> Boundary {
    let isBack = kept.map { isAdversarial.selecting($0) } ?? isAdversarial
    let back = isBack.nonzero().squeezed(dim: 1)
    if let kept { x = x.rows(at: kept) }
    if back.count > 0 {
      x = withNoGrad { x.replacing(with: rows.clean + (x - rows.clean) * Self.retreat, where: isBack.reshaped(to: -1, 1, 1, 1)) }
      // A new pass costs twice the remaining rows; the alternative costs all rows of the last pass and twice the moved rows.
      if 2 * rows.count <= here.labels.count + 2 * back.count { return try forwardPass(rows, x).boundary() }
    }
    var all = try here.boundary()
    if let kept { all = all.selecting(kept) }
    if back.count == 0 { return all }
    let again = try forwardPass(rows, x.rows(at: back), part: back).boundary()
    all.difference.copyInPlace(from: again.difference, at: back)
    all.normal.copyInPlace(from: again.normal, at: back)
    return all
  }

  /// Steps towards the boundary from the point and from the clean image, and weights the nearer of the two more.
  private func advanced(_ x: Tensor, _ clean: Tensor, _ boundary: Boundary) -> Tensor {
    let w = boundary.normal
    // On the plane, the linear model of the difference is zero.
    let atPoint = boundary.difference
    let atClean = atPoint - (w * (x - clean)).sum(dims: [1, 2, 3], keepDim: true)
    let steps = HyperplaneProjection.step(
      threat.norm, from: Tensor.concatenated([x, clean]), normal: Tensor.concatenated([w, w]),
      distance: Tensor.concatenated([atPoint, atClean]))
    let sizes = steps.autoAttackNorms(threat.norm).clamped(to: 1e-8...)
    let count = x.size(0)
    let (fromPoint, fromClean) = (steps[..<count], steps[count...])
    let bias = (sizes[..<count] / (sizes[..<count] + sizes[count...])).clamped(to: 0...Self.largestBias)
    let ahead = x.adding(fromPoint, alpha: Self.overshoot) * (1 - bias)
    return (ahead + clean.adding(fromClean, alpha: Self.overshoot) * bias).clampInPlace(to: 0...1)
  }

  /// Passes the points of the rows at the positions `part` through the model; nil for all rows.
  private func forwardPass(
    _ rows: SearchRows, _ points: Tensor, part: Tensor? = nil, differentiable: Bool = true
  ) throws(TorchError) -> ForwardPass {
    let input = points.detached().requireGrad(differentiable)
    let logits = try withGradMode(differentiable) { () throws(TorchError) in try rows.logits(input) }
    return ForwardPass(
      rows: rows, norm: threat.norm, input: input, logits: logits, labels: part.map { rows.labels.selecting($0) } ?? rows.labels,
      targets: part.flatMap { part in rows.targets.map { $0.selecting(part) } } ?? rows.targets)
  }
}

/// A forward pass that computes its boundary on demand, also after rows have left.
private struct ForwardPass {
  let rows: SearchRows
  let norm: Norm
  let input: Tensor
  let logits: Tensor
  let labels: Tensor
  let targets: Tensor?

  /// Returns the boundary to the target class, or else to the class with the nearest plane in the norm.
  func boundary() throws(TorchError) -> Boundary {
    if let targets { return try boundary(to: targets) }
    // One backward pass per class.
    let classes = logits.size(1)
    var best: (boundary: Boundary, distance: Tensor)?
    for other in 0..<classes {
      let one = try boundary(to: Tensor.full(like: labels, other), retainGraph: other < classes - 1)
      withNoGrad {
        let isOwn = labels.equal(to: other).reshaped(to: -1, 1, 1, 1)
        let distance = (one.difference.abs() / (one.normal.autoAttackNorms(norm.dual) + 1e-12))
          .replacing(with: Tensor.full(like: one.difference, Double.infinity), where: isOwn)
        guard let known = best else {
          best = (one, distance)
          return
        }
        let isNearer = distance.less(than: known.distance)
        best = (
          Boundary(
            difference: known.boundary.difference.replacing(with: one.difference, where: isNearer),
            normal: known.boundary.normal.replacing(with: one.normal, where: isNearer)),
          known.distance.replacing(with: distance, where: isNearer)
        )
      }
    }
    return best!.boundary
  }

  private func boundary(to others: Tensor, retainGraph: Bool = false) throws(TorchError) -> Boundary {
    let difference = withGrad {
      logits.gathered(dim: 1, at: others.unsqueezed(dim: 1)) - logits.gathered(dim: 1, at: labels.unsqueezed(dim: 1))
    }
    let normal = try rows.gradient(of: difference, at: input, retainGraph: retainGraph)
    return Boundary(difference: difference.detached().reshaped(to: -1, 1, 1, 1), normal: normal)
  }
}

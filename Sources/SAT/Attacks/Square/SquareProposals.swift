internal import SwiftTorch

/// The starting points of Square for some samples of a batch, or their proposals in one query.
struct SquareProposals {
  let threat: ThreatModel
  let draws: any SquareDraws
  /// The samples' positions in the batch.
  let samples: [Int]
  /// The number of the query, from 1; 0 for the starting points.
  let step: Int

  /// Returns the starting points around clean images, both [N, C, H, W].
  func start(_ clean: Tensor) -> Tensor { threat.norm == .linf ? stripes(clean) : tiles(clean) }

  /// Returns the proposals of a query, [N, C, H, W], from the best points so far and the side of the window.
  func next(_ clean: Tensor, _ best: Tensor, size: Int) -> Tensor {
    threat.norm == .linf ? colored(clean, best, size) : moved(clean, best, size)
  }

  private func signs(_ shape: [Int], isShared: Bool = false, which: Int = 0, on device: Device) -> Tensor {
    draws.signs(shape, isShared: isShared, samples: samples, step: step, which: which).to(device)
  }

  private func window(_ side: Int, which: Int, in images: Tensor) -> SquareWindow {
    let (h, w) = (images.size(2), images.size(3))
    return SquareWindow(draws.corners(side, height: h, width: w, samples: samples, step: step, which: which), side, images)
  }

  // MARK: L-inf

  /// Returns vertical stripes on the ball's surface.
  private func stripes(_ clean: Tensor) -> Tensor {
    (clean + signs([clean.size(1), 1, clean.size(3)], on: clean.device) * threat.epsilon).clamped(to: 0...1)
  }

  /// Fills a window with one colour of the ball's surface.
  private func colored(_ clean: Tensor, _ best: Tensor, _ size: Int) -> Tensor {
    let window = window(size, which: 0, in: clean)
    let signs = signs([clean.size(1), 1, 1], isShared: true, on: clean.device)
    let here = window.read(clean)
    let pushed = window.read(best) + signs * (2 * threat.epsilon)
    let color = pushed.clamped(between: here - threat.epsilon, and: here + threat.epsilon).clamped(to: 0...1)
    let proposal = best.cloned()
    window.write(color, to: proposal)
    return proposal
  }

  // MARK: L2 and L1

  /// Returns a grid of five by five bumps.
  private func tiles(_ clean: Tensor) -> Tensor {
    let (c, h, w) = (clean.size(1), clean.size(2), clean.size(3))
    let side = max(1, min(h, w) / 5)
    let (rows, columns) = (h / side, w / side)
    let (top, left) = ((h - side * min(rows, 5)) / 2, (w - side * min(columns, 5)) / 2)
    let delta = Tensor.zeros(like: clean)
    var which = 0
    for i in 0..<rows where top + (i + 1) * side <= h {
      for j in 0..<columns where left + (j + 1) * side <= w {
        let bump = bump(side, which: which, like: clean)
        let signs = signs([c, 1, 1], which: which, on: clean.device)
        let (y, x) = (top + i * side, left + j * side)
        delta[.all, .all, y..<y + side, x..<x + side].addInPlace(bump * signs)
        which += 1
      }
    }
    return within(clean, delta)
  }

  /// Moves the mass of one window to another window, and adds a bump there.
  private func moved(_ clean: Tensor, _ best: Tensor, _ size: Int) -> Tensor {
    let channels = clean.size(1)
    let delta = best - clean
    let (here, there) = (window(size, which: 0, in: clean), window(size, which: 1, in: clean))
    let mask = Tensor.zeros(like: delta)
    here.fill(mask, 1)
    there.fill(mask, 1)
    // The unused radius is one number per image; the mass of the two windows is one number per channel.
    let (mass, both) = (length(delta), self.mass(delta * mask))
    let old = here.read(delta)
    let bump = bump(size, which: 0, like: clean)
    let added = bump * signs([channels, 1, 1], on: clean.device) + old / (self.mass(old) + 1e-12)
    let available: Tensor
    if threat.norm == .l2 {
      let unused = (threat.epsilon * threat.epsilon - mass.square()).clamped(to: 0...)
      available = (unused / Double(channels) + both.square()).sqrt()
    } else {
      available = ((threat.epsilon - mass).clamped(to: 0...) / Double(channels) + both) * Double(channels)
    }
    there.fill(delta, 0)
    here.write(added / (self.mass(added) + 1e-12) * available, to: delta)
    return within(clean, delta)
  }

  /// Returns the images of perturbations, projected on the ball and the box.
  private func within(_ clean: Tensor, _ delta: Tensor) -> Tensor {
    // L1 stays slightly inside the radius, because a sum of many rounded terms could exceed it.
    if threat.norm == .l1 { return L1Ball.projected(clean + delta, around: clean, radius: threat.epsilon * (1 - 1e-6)) }
    return (clean + delta / (length(delta) + 1e-12) * threat.epsilon).clamped(to: 0...1)
  }

  /// The norm of each perturbation, [N, 1, 1, 1].
  private func length(_ perturbation: Tensor) -> Tensor { perturbation.alignedNorms(threat.norm) }

  /// Returns the mass of each channel of windows [N, C, s, s].
  private func mass(_ window: Tensor) -> Tensor { window.norm(threat.norm == .l1 ? 1 : 2, dims: [2, 3], keepDim: true) }

  /// Returns a bump, [1 or N, 1, s, s]: two halves of opposite sign, each a pile of growing rectangles, upright or lying.
  private func bump(_ side: Int, which: Int, like images: Tensor) -> Tensor {
    let isHorizontal = draws.isHorizontal(samples: samples, step: step, which: which)
    let upright = Self.bump(side, threat.norm).to(images.dtype).to(images.device)
    let turned = upright.transposed(0, 1)
    if isHorizontal.count == 1 { return (isHorizontal[0] ? turned : upright).reshaped(to: 1, 1, side, side) }
    return upright.replacing(with: turned, where: Tensor(isHorizontal).to(images.device).reshaped(to: -1, 1, 1, 1))
  }

  private static func bump(_ side: Int, _ norm: Norm) -> Tensor {
    guard side > 1 else { return Tensor.ones([1, 1]) }
    func scaled(_ tensor: Tensor) -> Tensor { tensor / (norm == .l1 ? tensor.abs().sum() : tensor.square().sum().sqrt()) }
    func half(_ rows: Int) -> Tensor {
      var pile = [Float](repeating: 0, count: rows * side)
      let (top, left) = (rows / 2, side / 2)
      for k in 0..<max(rows / 2 + 1, side / 2 + 1) {
        let weight = norm == .l1 ? Float(k + 1) * Float(k + 1) * Float(k + 1) * Float(k + 1) : Float(k + 1) * Float(k + 1)
        for i in max(top - k, 0)..<min(top + k + 1, rows) {
          for j in max(left - k, 0)..<min(left + k + 1, side) { pile[i * side + j] += 1 / weight }
        }
      }
      return scaled(Tensor(pile, shape: [rows, side]))
    }
    return scaled(Tensor.concatenated([half(side / 2), -half(side - side / 2)]))
  }
}

/// A square window in a batch of images, at one place for all samples or at one place per sample.
struct SquareWindow {
  private enum Place {
    case shared(rows: Range<Int>, columns: Range<Int>)
    /// Positions in the flattened images, [N, C · s · s].
    case perSample(Tensor)
  }

  private let place: Place
  private let side: Int

  init(_ corners: SquareCorners, _ side: Int, _ images: Tensor) {
    self.side = side
    switch corners {
    case .shared(let row, let column): place = .shared(rows: row..<row + side, columns: column..<column + side)
    case .perSample(let rows, let columns):
      let (c, h, w) = (images.size(1), images.size(2), images.size(3))
      let offsets = (0..<c).flatMap { k in (0..<side).flatMap { i in (0..<side).map { j in (k * h + i) * w + j } } }
      let corners = zip(rows, columns).map { $0 * w + $1 }
      place = .perSample((Tensor(corners).unsqueezed(dim: 1) + Tensor(offsets).unsqueezed(dim: 0)).to(images.device))
    }
  }

  /// [N, C, s, s].
  func read(_ images: Tensor) -> Tensor {
    switch place {
    case .shared(let rows, let columns): images[.all, .all, rows, columns]
    case .perSample(let positions):
      images.flattened(from: 1).gathered(dim: 1, at: positions).reshaped(to: [images.size(0), images.size(1), side, side])
    }
  }

  func write(_ values: Tensor, to images: Tensor) {
    switch place {
    case .shared(let rows, let columns): images[.all, .all, rows, columns].copyInPlace(from: values)
    case .perSample(let positions): images.flattened(from: 1).scatterInPlace(values.flattened(from: 1), dim: 1, at: positions)
    }
  }

  func fill(_ images: Tensor, _ value: Double) {
    switch place {
    case .shared(let rows, let columns): images[.all, .all, rows, columns].fillInPlace(value)
    case .perSample(let positions): images.flattened(from: 1).scatterInPlace(value, dim: 1, at: positions)
    }
  }
}

internal import Foundation
public import SwiftTorch

/// Square (Andriushchenko et al., ECCV 2020): random search with square windows, which needs only logits.
///
/// In L-inf a query fills a window with one colour of the ball's surface. In L2 and L1 it moves the perturbation's mass from one
/// window to another. A proposal stays if it lowers the margin z_y − max z_j.
///
/// `fast` draws windows and signs for each sample, as in the paper; in L-inf a proposal without a change costs no pass. `compat`
/// follows AutoAttack's order of draws, with one window for the whole batch.
public final class Square: Attack {
  static let entry = AttackEntry(
    name: "square", summary: "random search without gradients (Andriushchenko et al. 2020)",
    parameters: [.restarts { _, _ in 1 }, .queries { _, _ in 5000 }],
    make: { settings, own in
      Square(threat: settings.threat, mode: settings.mode, seed: settings.seed, queries: own.queries!, restarts: own.restarts!)
    })

  public let name = "square"
  public let threat: ThreatModel
  public let mode: AttackMode
  /// Queries after the starting point, per restart.
  public let queries: Int
  public let restarts: Int
  public let seed: UInt64
  public internal(set) var cost = AttackCost()

  public init(threat: ThreatModel, mode: AttackMode = .fast, seed: UInt64, queries: Int = 5000, restarts: Int = 1) {
    self.threat = threat
    self.mode = mode
    self.seed = seed
    self.queries = queries
    self.restarts = restarts
  }

  public static var needsGradients: Bool { false }

  public var parameters: AttackParameters { AttackParameters(restarts: restarts, queries: queries) }

  public func passesPerSample(classes: Int) -> Int { restarts * (queries + 1) }

  public func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
    try withNoGrad { () throws(TorchError) in
      let result = AttackResult(images: batch.images.cloned(), findings: Array(repeating: nil, count: batch.count))
      if mode == .fast && threat.norm == .linf { return try SquareLanes(self, model, batch, result).run() }
      return try perStep(model, batch, result)
    }
  }

  /// Runs all samples of the batch query by query. Only the open samples pass through the model.
  private func perStep(_ model: any Classifier, _ batch: AttackBatch, _ initial: AttackResult) throws(TorchError) -> AttackResult {
    var result = initial
    let stream = StreamDraws(generator: Generator(seed: seed))
    for restart in 0..<restarts where result.findings.contains(nil) {
      let draws: any SquareDraws = mode == .fast ? CounterDraws(self, batch, restart: restart) : stream
      try run(model, batch, draws, restart, &result)
    }
    return result
  }

  private func run(
    _ model: any Classifier, _ batch: AttackBatch, _ draws: any SquareDraws, _ restart: Int, _ result: inout AttackResult
  ) throws(TorchError) {
    var open = result.findings.indices.filter { result.findings[$0] == nil }
    // Windows are written into flattened images, so the images need row-major order here, not the model's memory format.
    let layout: MemoryFormat = batch.images.isContiguous() ? .contiguous : .channelsLast
    var (clean, labels) = (batch.images.contiguous(), batch.labels)
    func select(_ rows: [Int]) -> Tensor { Tensor(rows).to(batch.images.device) }
    if open.count < batch.count {
      clean = clean.selecting(select(open))
      labels = labels.selecting(select(open))
    }
    var best = SquareProposals(threat: threat, draws: draws, samples: open, step: 0).start(clean)
    var margins = [Double](repeating: .infinity, count: open.count)
    for step in 0...queries {
      var candidate = best
      if step > 0 {
        let proposals = SquareProposals(threat: threat, draws: draws, samples: open, step: step)
        candidate = proposals.next(clean, best, size: Self.window(query: step - 1, clean.shape, threat.norm))
      }
      let logits = try model.logits(candidate.contiguous(layout))
      cost.forward += open.count
      let values = Self.margins(logits, labels)
      let better = values.indices.map { values[$0] < margins[$0] || (mode == .compat && values[$0] <= 0) }
      if better.contains(true) {
        let mask = Tensor(better).to(best.device).aligned(with: best)
        best = better.contains(false) ? best.replacing(with: candidate, where: mask) : candidate
        for row in better.indices where better[row] { margins[row] = values[row] }
      }
      let hits = margins.indices.filter { better[$0] && margins[$0] <= 0 }
      let broken = try misclassified(model, logits, best, labels, hits)
      // The reference stops at a margin of 0, although argmax may still return the label.
      let done = mode == .compat ? hits : broken
      guard !done.isEmpty else { continue }
      for row in broken { result.findings[open[row]] = Finding(restart: restart, step: step) }
      batch.onBroken(broken.count)
      result.images.copyInPlace(from: best.selecting(select(done)), at: select(done.map { open[$0] }))
      let left = open.indices.filter { !done.contains($0) }
      open = left.map { open[$0] }
      margins = left.map { margins[$0] }
      if open.isEmpty { return }
      let rows = select(left)
      clean = clean.selecting(rows)
      labels = labels.selecting(rows)
      best = best.selecting(rows)
    }
    result.images.copyInPlace(from: best, at: select(open))
    for row in try confirmInFloat32(model, best, labels, Array(open.indices)) {
      result.findings[open[row]] = Finding(restart: restart, step: queries)
    }
  }

  /// Returns those of the rows that the model misclassifies in float32, where a search in bfloat16 ends; none in other precisions.
  func confirmInFloat32(_ model: any Classifier, _ images: Tensor, _ labels: Tensor, _ rows: [Int]) throws(TorchError) -> [Int] {
    guard mode == .fast, model.precision == .bf16, !rows.isEmpty else { return [] }
    let indices = Tensor(rows).to(labels.device)
    let verdict = try model.misclassified(images.selecting(indices), labels.selecting(indices))
    cost.forward += verdict.passes
    return zip(rows, verdict.isWrong).filter { $0.1 }.map { $0.0 }
  }

  /// Returns those of the rows that the model itself misclassifies; `logits` are the search's logits of the same images.
  func misclassified(
    _ model: any Classifier, _ logits: Tensor, _ images: Tensor, _ labels: Tensor, _ rows: [Int]
  ) throws(TorchError) -> [Int] {
    if rows.isEmpty { return [] }
    let indices = Tensor(rows).to(labels.device)
    let isWrong: [Bool]
    if model.isExact {
      isWrong = logits.selecting(indices).misclassifies(labels.selecting(indices)).array(of: Bool.self)
    } else {
      let verdict = try model.misclassified(images.selecting(indices), labels.selecting(indices))
      isWrong = verdict.isWrong
      cost.forward += verdict.passes
    }
    return zip(rows, isWrong).filter { $0.1 }.map { $0.0 }
  }

  /// Returns the margin z_y − max z_j over the other classes, per sample.
  static func margins(_ logits: Tensor, _ labels: Tensor) -> [Double] {
    (logits.entries(at: labels) - logits.largestOther(than: labels)).to(.float64).array(of: Double.self)
  }

  /// Returns the side of the window of a query, numbered from 0, in images [N, C, H, W].
  ///
  /// The area starts at 0.8 of the image and is halved after fixed numbers of queries, which AutoAttack does not rescale.
  static func window(query: Int, _ shape: [Int], _ norm: Norm) -> Int {
    let (h, w) = (shape[2], shape[3])
    let ends = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000]
    let fraction = 0.8 / Double(1 << (ends.firstIndex { query <= $0 } ?? ends.count))
    let side = Int((fraction * Double(h * w)).squareRoot().rounded(.toNearestOrEven))
    guard norm != .linf else { return min(max(side, 1), h, w) }
    // The side is odd, so that a bump has a middle. A narrow image gets the largest odd side that fits.
    let odd = max(side, 3) | 1
    let most = min(h, w)
    return odd <= most ? odd : most - (1 - most % 2)
  }
}

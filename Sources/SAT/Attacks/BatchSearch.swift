internal import SwiftTorch

/// The search of an attack in one batch: it gives each run its rows, and collects the findings.
final class BatchSearch {
  let model: any Classifier
  let batch: AttackBatch
  let mode: AttackMode
  fileprivate let name: String
  fileprivate let seed: UInt64
  private var images: Tensor
  private(set) var findings: [Finding?]
  fileprivate(set) var cost = AttackCost()
  /// The generator that the reference draws from; every batch seeds it again.
  fileprivate let generator: Generator
  fileprivate let deviceGenerator: Generator

  init(_ model: any Classifier, _ batch: AttackBatch, _ mode: AttackMode, name: String, seed: UInt64) throws(TorchError) {
    self.model = model
    self.batch = batch
    self.mode = mode
    self.name = name
    self.seed = seed
    images = batch.images
    findings = Array(repeating: nil, count: batch.count)
    generator = Generator(seed: seed)
    let device = batch.images.device
    deviceGenerator = device == .cpu ? generator : try Generator(seed: seed, device: device)
  }

  var result: AttackResult { AttackResult(images: images, findings: findings) }

  /// Runs an attack for each target class and random start, on the samples that are still open.
  ///
  /// The targets are the classes of the highest clean logits after the first; 0 targets mean an untargeted attack. In `compat`
  /// there is one run per target and start, with the starts in the inner loop. In `fast` the first target and start of every sample
  /// run first. The others of a sample then run together, so that a finding does not depend on the sample's neighbours.
  func run(targets: Int, restarts: Int, _ body: (SearchRows) throws(TorchError) -> Void) throws(TorchError) {
    guard batch.count > 0 else { return }
    let classes = batch.logits.size(1)
    let ranks = targets == 0 ? [nil] : (0..<min(targets, classes - 1)).map { Optional($0) }
    let jobs = ranks.flatMap { rank in (0..<restarts).map { (rank: rank, restart: $0) } }
    let order = targets == 0 ? [] : batch.logits.sorted(dim: 1, descending: false).indices.array(of: Int.self)
    func runs(_ jobs: ArraySlice<(rank: Int?, restart: Int)>) throws(TorchError) {
      let open = findings.indices.filter { findings[$0] == nil }
      let size = mode == .compat ? max(open.count, 1) : max(1, max(batch.capacity, 1) / jobs.count)
      for range in open.indices.chunks(of: size) {
        let rows = open[range].flatMap { sample in
          jobs.map { (rank, restart) in
            SearchRows.Row(sample: sample, target: rank.map { order[(sample + 1) * classes - 2 - $0] }, restart: restart)
          }
        }
        let group = SearchRows(self, rows)
        try body(group)
        group.finish()
      }
    }
    switch mode {
    case .compat: for i in jobs.indices { try runs(jobs[i...i]) }
    case .fast:
      try runs(jobs[..<1])
      if jobs.count > 1 { try runs(jobs[1...]) }
    }
  }

  fileprivate func isOpen(_ row: SearchRows.Row) -> Bool { findings[row.sample] == nil }

  /// Records the samples that the images at the given rows break; the first row of a sample wins.
  fileprivate func record(_ hits: [(index: Int, row: SearchRows.Row, step: Int)], _ points: Tensor) {
    var (sources, samples) = ([Int](), [Int]())
    for hit in hits where isOpen(hit.row) {
      findings[hit.row.sample] = Finding(target: hit.row.target, restart: hit.row.restart, step: hit.step)
      sources.append(hit.index)
      samples.append(hit.row.sample)
    }
    guard !samples.isEmpty else { return }
    batch.onBroken(samples.count)
    if images.isSame(as: batch.images) { images = images.cloned() }
    images.copyInPlace(from: points.rows(at: Tensor(sources).to(points.device)), at: Tensor(samples).to(points.device))
  }
}

/// The points that one run moves: one row for each open sample, target class and random start.
final class SearchRows {
  struct Row {
    /// The sample's position in the batch.
    let sample: Int
    let target: Int?
    let restart: Int
  }

  private let search: BatchSearch
  private(set) var rows: [Row]
  /// [R, C, H, W].
  private(set) var clean: Tensor
  /// [R], int64.
  private(set) var labels: Tensor
  private(set) var targets: Tensor?
  // The last hits, for mode compat, where rows stay.
  private var last: Tensor?
  private var lastSteps: [Int?]

  fileprivate init(_ search: BatchSearch, _ rows: [Row]) {
    self.search = search
    self.rows = rows
    let samples = Tensor(rows.map(\.sample)).to(search.batch.images.device)
    clean = search.batch.images.rows(at: samples)
    labels = search.batch.labels.selecting(samples)
    let classes = rows.compactMap(\.target)
    targets = classes.isEmpty ? nil : Tensor(classes).to(clean.device)
    lastSteps = Array(repeating: nil, count: rows.count)
  }

  var count: Int { rows.count }
  var mode: AttackMode { search.mode }

  /// Returns the logits of the images of all rows or of some rows, and counts the passes.
  func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    search.cost.forward += images.size(0)
    return try mode == .compat ? search.model.confirmedLogits(images) : search.model.logits(images)
  }

  /// Returns `inputGradient`, and counts the passes.
  func gradient(of losses: Tensor, at images: Tensor, retainGraph: Bool = false) throws(TorchError) -> Tensor {
    search.cost.backward += images.size(0)
    return try inputGradient(of: losses, at: images, retainGraph: retainGraph)
  }

  /// Returns random numbers for every row, [R, C, H, W].
  ///
  /// `fast` draws by step. `compat` takes its generator's next numbers, from the images' device if `onDevice` is true.
  func draws(_ distribution: CounterRandom.Distribution, step: Int = 0, onDevice: Bool = false) -> Tensor {
    let shape = Array(clean.shape.dropFirst())
    if mode == .fast {
      let streams = rows.map { row in
        CounterRandom(
          seed: search.seed, sample: search.batch.samples[row.sample], attack: search.name, target: row.target,
          restart: row.restart)
      }
      return CounterRandom.tensors(streams, step: step, shape, distribution, dtype: clean.dtype).to(clean.device)
    }
    let make = distribution == .uniform ? Tensor.rand : Tensor.randn
    return make([count] + shape, onDevice ? search.deviceGenerator : search.generator, clean.dtype).to(clean.device)
  }

  /// Records the rows with adversarial points, and returns the positions of the rows that stay; nil if all stay.
  ///
  /// In `fast` the network itself confirms a hit. A confirmed hit removes all rows of its sample. In `compat` every row stays, and
  /// its last hit is kept until `finish`.
  func recordHits(_ isBroken: Tensor, at images: Tensor, step: Int) throws(TorchError) -> Tensor? {
    let broken = isBroken.nonzero().squeezed(dim: 1)
    guard broken.count > 0 else { return nil }
    if mode == .compat {
      last = last?.replacing(with: images, where: isBroken.reshaped(to: -1, 1, 1, 1)) ?? images.detached()
      for index in broken.array(of: Int.self) { lastSteps[index] = step }
      return nil
    }
    let hits = try confirmed(broken, images)
    search.record(hits.map { ($0, rows[$0], step) }, images.detached())
    let staying = rows.indices.filter { search.isOpen(rows[$0]) }
    if staying.count == rows.count { return nil }
    let kept = Tensor(staying).to(clean.device)
    rows = staying.map { rows[$0] }
    clean = clean.rows(at: kept)
    labels = labels.selecting(kept)
    targets = targets?.selecting(kept)
    return kept
  }

  private func confirmed(_ hits: Tensor, _ images: Tensor) throws(TorchError) -> [Int] {
    let indices = hits.array(of: Int.self)
    if search.model.isExact { return indices }
    let verdict = try search.model.misclassified(images.rows(at: hits), labels.selecting(hits))
    search.cost.forward += verdict.passes
    return zip(indices, verdict.isWrong).filter { $0.1 }.map { $0.0 }
  }

  /// Looks once more, in float32, at the points [R, C, H, W] where a run in bfloat16 ends. A hit may show only there.
  func confirmInFloat32(at images: Tensor, step: Int) throws(TorchError) {
    guard count > 0, mode == .fast, search.model.precision == .bf16 else { return }
    _ = try recordHits(Tensor.ones(like: labels).to(.bool), at: images, step: step)
  }

  /// Records the hits of a run in mode compat, where rows stay.
  fileprivate func finish() {
    guard let last else { return }
    search.record(rows.indices.compactMap { i in lastSteps[i].map { (i, rows[i], $0) } }, last)
  }
}

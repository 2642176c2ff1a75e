internal import SwiftTorch

/// What the runs of an attack have found in a batch so far: hands out the rows of the next run, and collects.
final class BatchSearch {
  let model: any Classifier
  let batch: AttackBatch
  let mode: AttackMode
  private let name: String
  private let seed: UInt64
  private var images: Tensor
  private(set) var findings: [Finding?]
  fileprivate(set) var cost = AttackCost()
  /// The stream that the reference draws from: started anew for every batch.
  private let generator: Generator
  private let deviceGenerator: Generator

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

  /// Runs an attack over the classes of the highest clean logits but the first, and over random starts; samples take part until
  /// they are broken.
  ///
  /// In `compat` mode there is one run per class and start, starts innermost. In `fast` mode the first class and start of every
  /// sample come first, and then all others of a sample together, so that what is found does not depend on its neighbours in the
  /// batch.
  /// - Parameter targets: number of classes to steer to, as far as there are as many; 0 for an untargeted attack.
  func run(targets: Int, restarts: Int, _ body: (SearchRows) throws(TorchError) -> Void) throws(TorchError) {
    guard batch.count > 0 else { return }
    let ranks = targets == 0 ? [nil] : (0..<min(targets, batch.logits.size(1) - 1)).map { Optional($0) }
    let jobs = ranks.flatMap { rank in (0..<restarts).map { (rank: rank, restart: $0) } }
    let order = targets == 0 ? [] : batch.logits.sorted(dim: 1, descending: false).indices.array(of: Int.self)
    let classes = batch.logits.size(1)
    func rows(_ samples: some Sequence<Int>, _ jobs: some Sequence<(rank: Int?, restart: Int)>) -> [SearchRows.Row] {
      samples.flatMap { sample in
        jobs.map { job in
          SearchRows.Row(sample: sample, target: job.rank.map { order[(sample + 1) * classes - 2 - $0] }, restart: job.restart)
        }
      }
    }
    func runs(_ jobs: ArraySlice<(rank: Int?, restart: Int)>) throws(TorchError) {
      let open = findings.indices.filter { findings[$0] == nil }
      let size = mode == .compat ? max(open.count, 1) : max(1, max(batch.capacity, 1) / jobs.count)
      for start in stride(from: 0, to: open.count, by: size) {
        let group = SearchRows(self, rows(open[start..<min(start + size, open.count)], jobs))
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

  /// Draws for rows [R] + the image's shape.
  fileprivate func draws(_ rows: [SearchRows.Row], _ distribution: CounterRandom.Distribution, step: Int, onDevice: Bool) -> Tensor
  {
    let shape = Array(batch.images.shape.dropFirst())
    let dtype = batch.images.dtype
    let drawn: Tensor
    switch mode {
    case .fast:
      let streams = rows.map { row in
        CounterRandom(seed: seed, sample: batch.samples[row.sample], attack: name, target: row.target, restart: row.restart)
      }
      drawn = CounterRandom.tensors(streams, step: step, shape, distribution, dtype: dtype)
    case .compat:
      let source = onDevice ? deviceGenerator : generator
      drawn =
        distribution == .uniform
        ? Tensor.rand([rows.count] + shape, generator: source, dtype: dtype)
        : Tensor.randn([rows.count] + shape, generator: source, dtype: dtype)
    }
    return drawn.to(batch.images.device)
  }

  fileprivate func isOpen(_ row: SearchRows.Row) -> Bool { findings[row.sample] == nil }

  /// Takes down which samples are broken by the images at the given rows; the first row of a sample wins.
  fileprivate func record(_ hits: [(index: Int, row: SearchRows.Row, step: Int)], _ points: Tensor) {
    var (sources, samples) = ([Int](), [Int]())
    for hit in hits where isOpen(hit.row) {
      findings[hit.row.sample] = Finding(target: hit.row.target, restart: hit.row.restart, step: hit.step)
      sources.append(hit.index)
      samples.append(hit.row.sample)
    }
    guard !samples.isEmpty else { return }
    if images.isSame(as: batch.images) { images = images.cloned() }
    images.copyInPlace(from: points.rows(at: Tensor(sources).to(points.device)), at: Tensor(samples).to(points.device))
  }
}

/// The points that one run moves: one row for each sample, class and random start that are still worth it.
final class SearchRows {
  struct Row {
    /// Position in the batch.
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
  // The last images that counted, of a mode in which rows stay.
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

  /// Logits of as many images as there are rows, or of some of them.
  func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    search.cost.forward += images.size(0)
    return try mode == .compat ? search.model.confirmedLogits(images) : search.model.logits(images)
  }

  /// `inputGradient`, counted.
  func gradient(of losses: Tensor, at images: Tensor, retainGraph: Bool = false) throws(TorchError) -> Tensor {
    search.cost.backward += images.size(0)
    return try inputGradient(of: losses, at: images, retainGraph: retainGraph)
  }

  /// Random numbers of the images' shape for every row.
  ///
  /// - Parameters:
  ///   - step: which draw of the run it is.
  ///   - onDevice: whether the reference draws these on the images' device rather than on the CPU.
  func draws(_ distribution: CounterRandom.Distribution, step: Int = 0, onDevice: Bool = false) -> Tensor {
    search.draws(rows, distribution, step: step, onDevice: onDevice)
  }

  /// Deals with rows whose points count as adversarial.
  ///
  /// In `fast` mode a row whose hit the network itself confirms is done, and with it all rows of its sample; a hit that is not
  /// confirmed stays in. In `compat` mode every row stays and its last hit is kept until `finish`.
  /// - Returns: positions of the rows that stay; nil when all do.
  func settle(_ isBroken: Tensor, at images: Tensor, step: Int) throws(TorchError) -> Tensor? {
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
    (clean, labels, targets) = (clean.rows(at: kept), labels.selecting(kept), targets?.selecting(kept))
    return kept
  }

  private func confirmed(_ hits: Tensor, _ images: Tensor) throws(TorchError) -> [Int] {
    let indices = hits.array(of: Int.self)
    if search.model.isExact { return indices }
    let verdict = try search.model.misclassified(images.rows(at: hits), labels.selecting(hits))
    search.cost.forward += verdict.passes
    return zip(indices, verdict.isWrong).filter { $0.1 }.map { $0.0 }
  }

  /// Hands over what a run in which rows stay has found.
  fileprivate func finish() {
    guard let last else { return }
    search.record(rows.indices.compactMap { i in lastSteps[i].map { (i, rows[i], $0) } }, last)
  }
}

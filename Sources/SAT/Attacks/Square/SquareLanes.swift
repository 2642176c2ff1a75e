internal import SwiftTorch

/// Square in L-inf in mode `fast`: every lane of the batch follows its own sample.
///
/// Every value of a candidate is at one of the two ends of its range, so one bit per value describes a point. The bits show,
/// without a pass, which proposals change nothing. A lane skips these, so lanes are at different queries.
struct SquareLanes {
  private let attack: Square
  private let model: any Classifier
  private let batch: AttackBatch
  private var result: AttackResult

  /// The ends of every value's range, in the batch's memory order.
  private let low: [Double]
  private let high: [Double]
  private let shape: [Int]
  private let layout: MemoryFormat

  init(_ attack: Square, _ model: any Classifier, _ batch: AttackBatch, _ result: AttackResult) {
    self.attack = attack
    self.model = model
    self.batch = batch
    self.result = result
    shape = batch.images.shape
    layout = batch.images.isContiguous() ? .contiguous : .channelsLast
    let stored = Self.stored(batch.images, layout).to(.cpu)
    let epsilon = attack.threat.epsilon
    low = (stored - epsilon).clamped(to: 0...).to(.float64).array(of: Double.self)
    high = (stored + epsilon).clamped(to: ...1).to(.float64).array(of: Double.self)
  }

  /// Returns a view of images [N, C, H, W] in the order of their memory.
  private static func stored(_ images: Tensor, _ layout: MemoryFormat) -> Tensor {
    layout == .contiguous ? images : images.permuted(0, 2, 3, 1)
  }

  private struct Proposal {
    var row: Int
    var column: Int
    var side: Int
    /// The end of the range, per channel.
    var isHigh: [Bool]
  }

  /// A sample under search.
  private struct Lane {
    let sample: Int
    let stream: CounterRandom
    /// The number of the next query.
    var query = 0
    var margin = Double.infinity
    /// The end of its range for every value.
    var isHigh: [Bool]
    /// Nil before the pass of the starting point.
    var proposal: Proposal?
  }

  consuming func run() throws(TorchError) -> AttackResult {
    for restart in 0..<attack.restarts {
      var waiting = result.findings.indices.filter { result.findings[$0] == nil }[...]
      var lanes: [Lane] = []
      var images: Tensor?
      while true {
        let free = batch.capacity - lanes.count
        if free > 0 && !waiting.isEmpty {
          let started = waiting.prefix(free).map { start($0, restart) }
          waiting = waiting.dropFirst(free)
          lanes += started
          let fresh = startImages(started)
          images = images.map { Tensor.concatenated([$0, fresh]) } ?? fresh
        }
        guard !lanes.isEmpty, let current = images else { break }
        images = try round(&lanes, current, restart)
      }
    }
    return result
  }

  /// Runs one pass over all lanes and returns the images of the lanes that continue.
  private mutating func round(_ lanes: inout [Lane], _ images: Tensor, _ restart: Int) throws(TorchError) -> Tensor? {
    write(lanes, images) { lane, _, channel in lane.proposal!.isHigh[channel] }
    let input = layout == .contiguous ? images : images.permuted(0, 3, 1, 2)
    let logits = try model.logits(input)
    attack.cost.forward += lanes.count
    let labels = batch.labels.selecting(indices(lanes.map(\.sample)))
    let margins = Square.margins(logits, labels)
    let isBetter = lanes.indices.map { margins[$0] < lanes[$0].margin }
    let hits = try attack.misclassified(model, logits, input, labels, lanes.indices.filter { isBetter[$0] && margins[$0] <= 0 })
    let isBroken = Set(hits)
    for hit in hits {
      result.findings[lanes[hit].sample] = Finding(restart: restart, step: lanes[hit].proposal == nil ? 0 : lanes[hit].query)
    }
    batch.onBroken(hits.count)
    let rejected = lanes.indices.filter { !isBetter[$0] }
    write(lanes, rows: rejected, images) { lane, place, _ in lane.isHigh[place] }
    for index in lanes.indices {
      if isBetter[index] {
        lanes[index].margin = margins[index]
        accept(&lanes[index])
      }
      if !isBroken.contains(index) { propose(&lanes[index]) }
    }
    let ended = lanes.indices.filter { isBroken.contains($0) || lanes[$0].proposal == nil }
    if ended.isEmpty { return images }
    for row in try attack.confirmInFloat32(model, input, labels, ended.filter { !isBroken.contains($0) }) {
      result.findings[lanes[row].sample] = Finding(restart: restart, step: lanes[row].query)
    }
    let going = lanes.indices.filter { !ended.contains($0) }
    let finished = images.selecting(indices(ended))
    result.images.copyInPlace(
      from: layout == .contiguous ? finished : finished.permuted(0, 3, 1, 2), at: indices(ended.map { lanes[$0].sample }))
    lanes = going.map { lanes[$0] }
    return going.isEmpty ? nil : images.selecting(indices(going))
  }

  private func indices(_ rows: [Int]) -> Tensor { Tensor(rows).to(batch.images.device) }

  /// Starts with vertical stripes.
  private func start(_ sample: Int, _ restart: Int) -> Lane {
    let stream = CounterRandom(seed: attack.seed, sample: batch.samples[sample], attack: attack.name, restart: restart)
    let (c, h, w) = (shape[1], shape[2], shape[3])
    let draws = stream.uniform(step: 0, count: c * w)
    var isHigh = [Bool](repeating: false, count: c * h * w)
    for channel in 0..<c {
      for row in 0..<h { for column in 0..<w { isHigh[offset(channel, row, column)] = draws[channel * w + column] >= 0.5 } }
    }
    return Lane(sample: sample, stream: stream, isHigh: isHigh)
  }

  private func startImages(_ lanes: [Lane]) -> Tensor {
    let values = lanes.flatMap { lane in lane.isHigh.indices.map { end(lane, $0, isHigh: lane.isHigh[$0]) } }
    let order = layout == .contiguous ? Array(shape.dropFirst()) : [shape[2], shape[3], shape[1]]
    return Tensor(values, shape: [lanes.count] + order).to(batch.images.dtype).to(batch.images.device)
  }

  /// Returns an end of the range of the value at a place of the lane's image.
  private func end(_ lane: Lane, _ place: Int, isHigh: Bool) -> Double {
    let position = lane.sample * lane.isHigh.count + place
    return isHigh ? high[position] : low[position]
  }

  /// Returns the position of a value within its image.
  private func offset(_ channel: Int, _ row: Int, _ column: Int) -> Int {
    layout == .contiguous ? (channel * shape[2] + row) * shape[3] + column : (row * shape[3] + column) * shape[1] + channel
  }

  /// Sets the lane's next proposal that changes something; nil after the last query.
  private func propose(_ lane: inout Lane) {
    let (c, h, w) = (shape[1], shape[2], shape[3])
    while lane.query < attack.queries {
      let side = Square.window(query: lane.query, shape, .linf)
      lane.query += 1
      let draws = lane.stream.uniform(step: lane.query, count: 2 + c)
      let proposal = Proposal(
        row: Int(draws[0] * Double(h - side)), column: Int(draws[1] * Double(w - side)), side: side,
        isHigh: draws[2...].map { $0 >= 0.5 })
      if changes(proposal, lane) {
        lane.proposal = proposal
        return
      }
    }
    lane.proposal = nil
  }

  private func changes(_ proposal: Proposal, _ lane: Lane) -> Bool {
    for channel in 0..<shape[1] {
      let wanted = proposal.isHigh[channel]
      for row in proposal.row..<proposal.row + proposal.side {
        for column in proposal.column..<proposal.column + proposal.side
        where lane.isHigh[offset(channel, row, column)] != wanted { return true }
      }
    }
    return false
  }

  private func accept(_ lane: inout Lane) {
    guard let proposal = lane.proposal else { return }
    forEachValue(of: proposal) { channel, place in lane.isHigh[place] = proposal.isHigh[channel] }
  }

  /// Calls `body` with the channel of each value in the window, and the value's position within its image.
  private func forEachValue(of proposal: Proposal, _ body: (_ channel: Int, _ place: Int) -> Void) {
    for channel in 0..<shape[1] {
      for row in proposal.row..<proposal.row + proposal.side {
        for column in proposal.column..<proposal.column + proposal.side { body(channel, offset(channel, row, column)) }
      }
    }
  }

  /// Writes the windows of the lanes' proposals into the batch, with the end of each value by lane, position and channel.
  private func write(
    _ lanes: [Lane], rows: [Int]? = nil, _ images: Tensor, _ isHigh: (_ lane: Lane, _ place: Int, _ channel: Int) -> Bool
  ) {
    var (positions, values): ([Int], [Double]) = ([], [])
    for index in rows ?? Array(lanes.indices) {
      guard let proposal = lanes[index].proposal else { continue }
      let size = lanes[index].isHigh.count
      forEachValue(of: proposal) { channel, place in
        positions.append(index * size + place)
        values.append(end(lanes[index], place, isHigh: isHigh(lanes[index], place, channel)))
      }
    }
    guard !positions.isEmpty else { return }
    images.reshaped(to: -1).copyInPlace(
      from: Tensor(values).to(images.dtype).to(images.device), at: Tensor(positions).to(images.device))
  }
}

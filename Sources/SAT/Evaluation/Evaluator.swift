public import SwiftTorch

/// Measures a model's accuracy on images as they are and under attacks, the worst case over the attacks.
public struct Evaluator {
  private let model: any Classifier
  private let data: ImageDataset
  private let batchSize: Int
  private let device: Device
  private let layout: MemoryFormat

  /// - Parameter model: in evaluation mode, on `device`.
  public init(model: any Classifier, data: ImageDataset, batchSize: Int, device: Device, layout: MemoryFormat) {
    self.model = model
    self.data = data
    self.batchSize = batchSize
    self.device = device
    self.layout = layout
  }

  /// How far an evaluation is.
  public struct Progress: Sendable {
    /// The attack that is running; "clean" before the first.
    public var phase: String
    /// Samples of this phase that are done, and their number.
    public var done: Int
    public var total: Int
    /// Samples still classified correctly, of all that were evaluated.
    public var correct: Int
  }

  /// - Parameters:
  ///   - attacks: run in order, each on the samples that are still classified correctly, always from the original image.
  ///   - onAdversarial: gets the positions of broken samples and their adversarial images.
  /// - Throws: what the model throws.
  public func run(
    _ attacks: [any Attack], progress: (Progress) -> Void = { _ in }, onAdversarial: ([Int], Tensor) -> Void = { _, _ in }
  ) throws(TorchError) -> Evaluation {
    let clock = ContinuousClock()
    let start = clock.now
    let labels = data.labels.array(of: Int.self)
    var checks = OutputChecks()
    var predictions: [Int] = []
    var parts: [Tensor] = []
    for range in Self.ranges(data.count, batchSize) {
      let logits = try forward(data.batch(range).images)
      checks.look(at: logits)
      parts.append(logits)
      predictions += logits.argmax(dim: 1).array(of: Int.self)
      let correct = zip(predictions, labels).count { $0 == $1 }
      progress(Progress(phase: "clean", done: predictions.count, total: data.count, correct: correct))
    }
    let logits = Tensor.concatenated(parts)
    var flags = zip(labels, predictions).map { $0 == $1 }
    var results: [Evaluation.AttackResult] = []
    for attack in attacks {
      let begun = clock.now
      let before = attack.cost
      try run(attack, logits, &flags, progress, onAdversarial)
      var cost = attack.cost
      cost.forward -= before.forward
      cost.backward -= before.backward
      results.append(.init(name: attack.name, flags: flags, seconds: (clock.now - begun) / .seconds(1), cost: cost))
    }
    return Evaluation(
      labels: labels, predictions: predictions, attacks: results, warnings: checks.warnings,
      seconds: (clock.now - start) / .seconds(1))
  }

  private func run(
    _ attack: any Attack, _ logits: Tensor, _ flags: inout [Bool], _ progress: (Progress) -> Void,
    _ onAdversarial: ([Int], Tensor) -> Void
  ) throws(TorchError) {
    let open = flags.indices.filter { flags[$0] }
    for range in Self.ranges(open.count, batchSize) {
      let positions = Array(open[range])
      let indices = Tensor(positions)
      let (images, labels) = data.batch(at: indices)
      let batch = AttackBatch(
        images: images.to(device).contiguous(layout), labels: labels.to(device), samples: positions,
        logits: logits.selecting(indices.to(device)), capacity: batchSize)
      let perturbed = try attack.perturb(model, batch).images
      // A flag is a property of this one forward pass, whatever the attack believed.
      let broken = try forward(perturbed).argmax(dim: 1).notEqual(to: batch.labels)
      let found = broken.nonzero().squeezed(dim: 1)
      let hits = found.array(of: Int.self)
      for hit in hits { flags[positions[hit]] = false }
      if !hits.isEmpty { onAdversarial(hits.map { positions[$0] }, perturbed.selecting(found).to(.cpu)) }
      progress(Progress(phase: attack.name, done: range.upperBound, total: open.count, correct: flags.count { $0 }))
    }
  }

  private func forward(_ images: Tensor) throws(TorchError) -> Tensor {
    try withNoGrad { () throws(TorchError) in try model.confirmedLogits(images.to(device).contiguous(layout)) }
  }

  private static func ranges(_ count: Int, _ size: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
  }
}

/// Looks for outputs that are not logits.
private struct OutputChecks {
  private var allProbabilities = true
  private var anyNonFinite = false

  mutating func look(at logits: Tensor) {
    if !(logits.isFinite().all().item() != 0) {
      anyNonFinite = true
      allProbabilities = false
    } else if allProbabilities {
      let sums = logits.sum(dim: 1)
      allProbabilities =
        logits.min().item() > -1e-5 && logits.max().item() < 1 + 1e-5 && (sums - 1).abs().max().item() < 1e-5
    }
  }

  var warnings: [Evaluation.Warning] {
    var warnings: [Evaluation.Warning] = []
    if allProbabilities {
      warnings.append(
        .init(
          code: .softmaxOutput,
          message: "the model's outputs are probabilities, not logits; attacks are weaker on them, so remove the softmax at its end"))
    }
    if anyNonFinite {
      warnings.append(
        .init(
          code: .nonFinite,
          message: "some of the model's outputs are NaN or infinite; such samples count by the class argmax finds, and gradients there mean nothing"))
    }
    return warnings
  }
}

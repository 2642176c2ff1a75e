public import SwiftTorch

extension Verification {
  /// Checks saved images and every claim about them against a model in evaluation mode on `device`.
  ///
  /// `data` are the expected originals; nil trusts the originals in the file.
  /// - Throws: Any error of the model.
  public static func run(
    _ saved: SavedImages, model: any Classifier, modelName: String, data: ImageDataset?, batchSize: Int, device: Device,
    layout: MemoryFormat
  ) throws(TorchError) -> Verification {
    // A fixed seed makes the answers of a random model repeatable.
    try Torch.manualSeed(0)
    let claims = try SavedClaims(saved)
    let some = 0..<min(claims.count, SanityChecks.samples)
    let judge = try ImageJudge(
      model, trying: (claims.originals[some], saved.originals.labels[some]), device: device, layout: layout)
    let answers = try ModelAnswers(claims, judge, batchSize: batchSize)
    var checks = claims.pixelChecks + answers.checks + claims.documentChecks
    if let data { checks.insert(try claims.check(against: data), at: 0) }
    let largest = claims.sizes.max().item()
    return Verification(
      file: saved.path, model: modelName, threat: saved.threat, samples: claims.count, adversarial: claims.broken.count,
      holds: checks.allSatisfy(\.holds), checks: checks, largestPerturbation: largest.isFinite ? largest : nil,
      robust: answers.robust, eightBit: try claims.eightBit(judge, batchSize: batchSize),
      warnings: judge.isRandom ? [answers.randomized] : [])
  }
}

/// Saved images with the claims of their file.
private struct SavedClaims {
  let saved: SavedImages
  /// The originals as float32, like the images.
  let originals: Tensor
  let labels: [Int]
  /// Positions of the samples that the file counts as broken.
  let broken: [Int]
  /// The perturbations' sizes in the threat model's norm.
  let sizes: Tensor

  var count: Int { labels.count }

  init(_ saved: SavedImages) throws(TorchError) {
    self.saved = saved
    let originals = try saved.originals.batch(0..<saved.originals.count).images
    self.originals = originals
    labels = saved.originals.labels.array(of: Int.self)
    broken = labels.indices.filter { saved.clean[$0] && !saved.robust[$0] }
    let difference = saved.images.to(.float64) - originals.to(.float64)
    sizes = saved.threat.size(from: Tensor.zeros(like: difference), to: difference)
  }

  func brokenPart(of batch: Tensor) -> Tensor { broken.isEmpty ? batch[..<0] : batch.selecting(Tensor(broken)) }

  var brokenLabels: [Int] { broken.map { labels[$0] } }

  private static func positions(_ mask: Tensor) -> [Int] { mask.nonzero().squeezed(dim: 1).array(of: Int.self) }

  func check(against data: ImageDataset) throws(TorchError) -> Verification.Check {
    var differing = Array(labels.indices)
    if data.imageShape == saved.originals.imageShape, data.count == count {
      let change = try (data.batch(0..<count).images - originals).norms(.linf)
      differing = Self.positions(change.notEqual(to: 0) || data.labels.notEqual(to: saved.originals.labels))
    }
    return .init("data", "the originals and labels are those of \(data.name)", failed: differing)
  }

  /// The checks that need no model.
  var pixelChecks: [Verification.Check] {
    let flat = saved.images.flattened(from: 1)
    let isFinite = flat.isFinite().all(dim: 1)
    let isInBox = flat.greaterOrEqual(to: 0).all(dim: 1) && flat.lessOrEqual(to: 1).all(dim: 1)
    let isInBall = sizes.lessOrEqual(to: saved.threat.tolerance)
    let isBroken = Set(broken)
    return [
      .init("finite", "every pixel is a number", failed: Self.positions(!isFinite)),
      .init("box", "every pixel lies in [0, 1]", failed: Self.positions(!isInBox)),
      .init("norm", "no perturbation is larger than epsilon in \(saved.threat.norm.rawValue)", failed: Self.positions(!isInBall)),
      .init(
        "unchanged", "images that count as not broken are the originals",
        failed: Self.positions(sizes.notEqual(to: 0)).filter { !isBroken.contains($0) }),
    ]
  }

  /// The checks that the document's flags and figures agree.
  var documentChecks: [Verification.Check] {
    [
      .init(
        "robust", "every sample that counts as robust is right when clean",
        failed: labels.indices.filter { saved.robust[$0] && !saved.clean[$0] }),
      .init(
        "document", "counts, rates and intervals are those of the flags and labels",
        contradictions: ClaimCheck(saved.document, labels: labels).contradictions),
    ]
  }

  /// Measures how many adversarial images survive rounding to bytes.
  func eightBit(_ judge: ImageJudge, batchSize: Int) throws(TorchError) -> Verification.EightBit {
    guard !broken.isEmpty else { return .init() }
    let (adversarial, originals) = (brokenPart(of: saved.images), brokenPart(of: originals))
    let levels = adversarial * 255.0
    let nearest = levels.rounded().clamped(to: 0...255) / 255.0
    let isUp = adversarial.greater(than: originals)
    // The tolerance stops a step across the original, which is itself a byte if the data are bytes.
    let towards = (levels - 1e-3).ceil().replacing(with: (levels + 1e-3).floor(), where: isUp).clamped(to: 0...255) / 255.0
    let isRightNearest = try judge(nearest, brokenLabels, batchSize: batchSize).isRight
    let isInside = saved.threat.size(from: originals, to: nearest).lessOrEqual(to: saved.threat.tolerance).array(of: Bool.self)
    let isRightTowards = try judge(towards, brokenLabels, batchSize: batchSize).isRight
    let wrong = broken.indices.filter { !isRightNearest[$0] }
    return .init(
      misclassified: wrong.count, withinEpsilon: wrong.count { isInside[$0] }, towardsOriginal: isRightTowards.count { !$0 })
  }
}

/// The model's answers to the originals, to the saved images in batches, and to each broken image alone.
private struct ModelAnswers {
  private let claims: SavedClaims
  private let clean: ImageJudge.Answers
  private let batched: ImageJudge.Answers
  private let alone: ImageJudge.Answers

  init(_ claims: SavedClaims, _ judge: ImageJudge, batchSize: Int) throws(TorchError) {
    self.claims = claims
    clean = try judge(claims.originals, claims.labels, batchSize: batchSize)
    batched = try judge(claims.saved.images, claims.labels, batchSize: batchSize)
    alone = try judge(claims.brokenPart(of: claims.saved.images), claims.brokenLabels, batchSize: 1)
  }

  /// Positions of samples for which the model's answer to the original differs from the file's claim.
  private var denied: [Int] { claims.labels.indices.filter { clean.isRight[$0] != claims.saved.clean[$0] } }

  private var rightInBatch: [Int] { claims.broken.filter { batched.isRight[$0] } }

  /// Positions within the broken samples.
  private var rightAlone: [Int] { claims.broken.indices.filter { alone.isRight[$0] } }

  /// The checks of the model's answers. For a random model, a claim fails only if the vote is clear.
  var checks: [Verification.Check] {
    let unanswered = clean.isFinite.indices.filter { !clean.isFinite[$0] || !batched.isFinite[$0] }
    return [
      .init("answers", "every answer of the model is a number", failed: unanswered),
      .init("clean", "the originals are classified as the file says", failed: denied.filter { clean.isClear[$0] }),
      .init("batch", "broken images are misclassified in a batch", failed: rightInBatch.filter { batched.isClear[$0] }),
      .init(
        "alone", "broken images are misclassified alone",
        failed: rightAlone.filter { alone.isClear[$0] }.map { claims.broken[$0] }),
    ]
  }

  /// The accuracy on the saved images; a sample counts only if its original is correct too.
  var robust: EvaluationDocument.Proportion {
    .init(clean.isRight.indices.count { batched.isRight[$0] && clean.isRight[$0] }, of: clean.isRight.count)
  }

  /// The warning about a random model, with the number of claims that the votes neither confirm nor refute.
  var randomized: Evaluation.Warning {
    let openInBatches = denied.count { !clean.isClear[$0] } + rightInBatch.count { !batched.isClear[$0] }
    let open = openInBatches + rightAlone.count { !alone.isClear[$0] }
    return .init(
      code: .randomized,
      message: "the model answers the same image differently from pass to pass; the mean logits of up to "
        + "\(AveragedClassifier.maximumPasses) passes decide, and a claim fails only if they clearly contradict it (claims that "
        + "they contradict, but not clearly: \(open)); files of mode compat hold the results of single passes")
  }
}

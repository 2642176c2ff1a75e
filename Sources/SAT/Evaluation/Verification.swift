internal import Foundation
public import SwiftTorch

/// Saved adversarial images looked at again, without trusting the run that made them.
public struct Verification: Encodable, Sendable {
  /// One thing that has to hold.
  public struct Check: Encodable, Sendable {
    public var name: String
    public var holds: Bool
    /// What was asked.
    public var question: String
    /// Positions of samples for which it does not hold.
    public var failed: [Int]
    /// What else does not hold, in words.
    public var contradictions: [String] = []

    init(_ name: String, _ question: String, contradictions: [String]) {
      (self.name, self.question, self.failed, self.contradictions) = (name, question, [], contradictions)
      holds = contradictions.isEmpty
    }

    init(_ name: String, _ question: String, failed: [Int]) {
      (self.name, self.question, self.failed) = (name, question, failed)
      holds = failed.isEmpty
    }
  }

  /// What is left when pixels are stored as bytes.
  public struct EightBit: Encodable, Sendable {
    /// Adversarial images that are still misclassified when rounded to the nearest byte.
    public var misclassified: Int
    /// Those of them that are then still within epsilon.
    public var withinEpsilon: Int
    /// Adversarial images that are misclassified when every pixel is rounded towards the original, which keeps them within epsilon.
    public var towardsOriginal: Int
  }

  public var format = "sat-verification/1"
  public var file: String
  public var model: String
  public var threat: EvaluationReport.Threat
  public var samples: Int
  /// Samples the file says were broken.
  public var adversarial: Int
  public var holds: Bool
  public var checks: [Check]
  /// Size of the largest perturbation in the threat model's norm; absent where a pixel is not a number, as the check "finite" says.
  public var largestPerturbation: Double?
  /// Accuracy that the file's own images show, counted anew.
  public var robust: EvaluationReport.Proportion
  public var eightBit: EightBit
  /// What puts the answers above in doubt.
  public var warnings: [Evaluation.Warning]

  /// - Parameters:
  ///   - model: in evaluation mode, on `device`.
  ///   - data: the images the file should have started from; nil takes the file's word.
  /// - Throws: what the model throws.
  public init(
    _ saved: SavedImages, model: any Classifier, modelName: String, data: ImageDataset?, batchSize: Int, device: Device, layout: MemoryFormat
  ) throws(TorchError) {
    // What a model that draws says is the same every time.
    try Torch.manualSeed(0)
    let n = saved.originals.count
    func rows(_ mask: Tensor) -> [Int] { mask.nonzero().squeezed(dim: 1).array(of: Int.self) }
    let originals = try saved.originals.batch(0..<n).images
    let labels = saved.originals.labels.array(of: Int.self)
    let claimed = (0..<n).filter { saved.clean[$0] && !saved.robust[$0] }
    let difference = (saved.images.to(.float64) - originals.to(.float64))
    let sizes = saved.threat.size(from: Tensor.zeros(like: difference), to: difference)
    let flat = saved.images.flattened(from: 1)

    let finite = flat.isFinite().all(dim: 1)
    let box = flat.greaterOrEqual(to: 0).all(dim: 1) && flat.lessOrEqual(to: 1).all(dim: 1)
    let inside = sizes.lessOrEqual(to: saved.threat.tolerance)
    let isBroken = Set(claimed)
    let changed = rows(sizes.notEqual(to: 0)).filter { !isBroken.contains($0) }
    let some = 0..<min(n, SanityChecks.samples)
    let judge = try ImageJudge(model, trying: (originals[some], saved.originals.labels[some]), device: device, layout: layout)
    let clean = try judge(originals, labels, batchSize: batchSize)
    let batched = try judge(saved.images, labels, batchSize: batchSize)
    let broken = claimed.isEmpty ? saved.images[..<0] : saved.images.selecting(Tensor(claimed))
    let expected = claimed.map { labels[$0] }
    let alone = try judge(broken, expected, batchSize: 1)
    let isAnswered = (0..<n).map { clean.isFinite[$0] && batched.isFinite[$0] }
    // Of a model that draws a claim fails where more passes could not say the opposite again.
    let denied = (0..<n).filter { clean.isRight[$0] != saved.clean[$0] }
    let rightInBatch = claimed.filter { batched.isRight[$0] }
    let rightAlone = claimed.indices.filter { alone.isRight[$0] }

    var checks: [Check] = []
    if let data {
      let same =
        data.imageShape == saved.originals.imageShape && data.count == n
        ? try rows((data.batch(0..<n).images - originals).abs().flattened(from: 1).max(dims: [1]).notEqual(to: 0) || data.labels.notEqual(to: saved.originals.labels))
        : Array(0..<n)
      checks.append(Check("data", "the originals and labels are those of \(data.name)", failed: same))
    }
    checks += [
      Check("finite", "every pixel is a number", failed: rows(!finite)),
      Check("box", "every pixel lies in [0, 1]", failed: rows(!box)),
      Check("norm", "no perturbation is larger than epsilon in \(saved.threat.norm.rawValue)", failed: rows(!inside)),
      Check("unchanged", "images that count as not broken are the originals", failed: changed),
      Check("answers", "every answer of the model is a number", failed: isAnswered.indices.filter { !isAnswered[$0] }),
      Check("clean", "the originals are classified as the file says", failed: denied.filter { clean.isClear[$0] }),
      Check("batch", "broken images are misclassified in a batch", failed: rightInBatch.filter { batched.isClear[$0] }),
      Check("alone", "broken images are misclassified alone", failed: rightAlone.filter { alone.isClear[$0] }.map { claimed[$0] }),
      Check("robust", "every sample that counts as robust is right when clean", failed: (0..<n).filter { saved.robust[$0] && !saved.clean[$0] }),
      Check(
        "document", "counts, rates and intervals are those of the flags and labels",
        contradictions: SavedClaims.contradictions(in: saved.document, labels: labels)),
    ]
    file = saved.path
    self.model = modelName
    threat = .init(norm: saved.threat.norm.rawValue, epsilon: saved.threat.epsilon)
    samples = n
    adversarial = claimed.count
    holds = checks.allSatisfy(\.holds)
    self.checks = checks
    let largest = sizes.max().item()
    largestPerturbation = largest.isFinite ? largest : nil
    robust = .init((0..<n).count { batched.isRight[$0] && clean.isRight[$0] }, of: n)
    eightBit = try Self.eightBit(broken, claimed.isEmpty ? originals[..<0] : originals.selecting(Tensor(claimed)), expected, saved.threat) {
      (images) throws(TorchError) in try judge(images, expected, batchSize: batchSize).isRight
    }
    let open = denied.count { !clean.isClear[$0] } + rightInBatch.count { !batched.isClear[$0] } + rightAlone.count { !alone.isClear[$0] }
    warnings = judge.isRandom ? [Self.randomized(open)] : []
  }

  /// - Parameter open: claims that the votes neither confirm nor refute.
  private static func randomized(_ open: Int) -> Evaluation.Warning {
    .init(
      code: .randomized,
      message: "the model answers the same image differently from pass to pass; images are judged by their mean logits over up to "
        + "\(AveragedClassifier.most) passes, and a claim fails where these are clearly against it (claims it denies, but not clearly: \(open)); "
        + "what mode compat saved is what single passes said")
  }

  private static func eightBit(
    _ broken: Tensor, _ originals: Tensor, _ labels: [Int], _ threat: ThreatModel, _ isRight: (Tensor) throws(TorchError) -> [Bool]
  ) throws(TorchError) -> EightBit {
    guard !labels.isEmpty else { return EightBit(misclassified: 0, withinEpsilon: 0, towardsOriginal: 0) }
    let levels = broken * 255.0
    let nearest = levels.rounded().clamped(to: 0...255) / 255.0
    let isUp = broken.greater(than: originals)
    // Never across the original, which is a byte itself where the data are bytes.
    let towards = (levels - 1e-3).ceil().replacing(with: (levels + 1e-3).floor(), where: isUp).clamped(to: 0...255) / 255.0
    let near = try isRight(nearest)
    let inside = threat.size(from: originals, to: nearest).lessOrEqual(to: threat.tolerance).array(of: Bool.self)
    let kept = try isRight(towards)
    let wrong = labels.indices.filter { !near[$0] }
    return EightBit(
      misclassified: wrong.count, withinEpsilon: wrong.count { inside[$0] }, towardsOriginal: kept.count { !$0 })
  }
}

extension Verification: CustomStringConvertible {
  /// The text `sat verify` prints.
  public var description: String {
    var rows = [["check", "", "what"]]
    for check in checks {
      let some = check.failed.prefix(5).map(String.init).joined(separator: ", ") + (check.failed.count > 5 ? ", …" : "")
      let exceptions = check.failed.isEmpty ? check.contradictions.joined(separator: "; ") : "not for \(check.failed.count) (\(some))"
      rows.append([check.name, check.holds ? "holds" : "FAILS", check.question + (check.holds ? "" : ": \(exceptions)")])
    }
    let interval = robust.interval.map { decimal(100 * $0, 2) }.joined(separator: " – ")
    return """
      \(file): \(adversarial) adversarial of \(samples) images, \(threat.norm), epsilon \(Fraction(threat.epsilon)); model \(model)

      \(TextTable(rows, leftColumns: 3))
      robust accuracy, counted anew: \(robust.correct)/\(samples), \(decimal(100 * robust.accuracy, 2)) % (\(interval))
      largest perturbation: \(largestPerturbation.map { "\(decimal($0, 6)), \(decimal(100 * $0 / threat.epsilon, 1)) % of epsilon" } ?? "none, a pixel is not a number")
      as bytes: \(eightBit.misclassified) of \(adversarial) are still misclassified, \(eightBit.withinEpsilon) of them within epsilon; \
      rounded towards the original \(eightBit.towardsOriginal)
      \(warnings.map { "warning: \($0.message)\n" }.joined())
      """
  }
}

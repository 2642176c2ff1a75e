internal import SwiftTorch

/// Questions to a model before it is attacked, whose answers say whether the numbers can be trusted.
///
/// The rules are those of AutoAttack's checks where it has them; a few dozen samples are asked about.
struct SanityChecks {
  static let samples = 32
  /// Distance of normalised logits from which answers to an image alone and in a batch, where rounding differs, are not the same.
  private static let sameInBatch = 1e-3

  let model: any Classifier
  /// [n, C, H, W], n at most `samples`; right ones where there are any.
  let images: Tensor
  let labels: Tensor
  /// Of these images, as the clean pass found them in its own batches.
  let logits: Tensor

  struct Findings {
    var warnings: [Evaluation.Warning] = []
    var isDifferentiable = true
    /// Whether it answers the same image differently from pass to pass.
    var isRandom = false
  }

  func run(needsGradient: Bool, expectsRandomness: Bool, mode: AttackMode) throws(TorchError) -> Findings {
    var findings = Findings()
    func warn(_ code: Evaluation.Warning.Code, _ message: String) { findings.warnings.append(.init(code: code, message: message)) }
    let script = (model as? ScriptClassifier)?.script
    let code = script.map { ScriptCode($0.source) }

    let before = try script.map(Self.fingerprint)
    let answers = try RepeatedAnswers(model, images, labels)
    let after = try script.map(Self.fingerprint)
    let isRandom = answers.isRandom
    findings.isRandom = isRandom
    if isRandom && !expectsRandomness {
      warn(
        .randomized,
        "the model answers the same image differently from pass to pass (normalised logits differ by \(decimal(answers.spread, 4))); "
          + (mode == .fast
            ? "flags are those of the mean logits of up to \(AveragedClassifier.most) passes, and attacks see single passes: use --version rand, "
              + "which follows mean gradients"
            : "every flag is what one pass said, as in the reference, and another run says otherwise: use --version rand --mode fast, where many passes decide"))
    }
    if code?.calls(ScriptClassifier.gradientCalls) == true {
      warn(
        .dynamicDefense,
        "the model computes gradients inside its forward pass, so it may optimise its input or itself at test time; "
          + "attack it with a method made for it")
    } else if before != after || (isRandom && code?.calls(Self.randomCalls + ["dropout"]) == false) {
      warn(
        .dynamicDefense,
        "the model changes as it is used (its weights, buffers or answers depend on earlier passes), so results depend on the order of the images; "
          + "make it a function of its input")
    }
    let drawsOtherwise = code?.calls(Self.randomCalls) ?? true
    if code?.hasActiveDropout == true || (isRandom && isInTrainingMode) || (isRandom && code?.calls(["dropout"]) == true && !drawsOtherwise) {
      warn(.dropout, "dropout is on in evaluation mode; attacks meet a random network, so turn it off before exporting the model")
    }
    if isInTrainingMode {
      warn(.trainingMode, "the network is in training mode; set it to evaluation mode, else batches influence each other")
    } else if !isRandom, try largestBatchEffect(answers.first) > Self.sameInBatch {
      warn(
        .trainingMode,
        "an image is answered differently alone, in a batch, or in a batch of another order, as by BatchNorm in training mode or without running "
          + "statistics; flags depend on which images share a batch, so make the model answer each image by itself")
    }
    if needsGradient { try lookAtGradients(&findings) }
    return findings
  }

  /// How far answers are from those to the same images in reverse order, and to the first and the last alone.
  private func largestBatchEffect(_ answers: Tensor) throws(TorchError) -> Double {
    var (batch, answers) = (images, answers)
    if batch.size(0) == 1 {
      // The only image keeps its negative company.
      batch = Tensor.concatenated([images, 1 - images])
      answers = try ask(batch)
    }
    let count = batch.size(0)
    let reverse = Tensor(Array((0..<count).reversed())).to(batch.device)
    var largest = RepeatedAnswers.distance(try ask(batch.rows(at: reverse)).selecting(reverse), answers)
    for index in [0, count - 1] {
      largest = max(largest, RepeatedAnswers.distance(try ask(batch[index..<index + 1]), answers[index..<index + 1]))
    }
    return largest
  }

  /// Of everything a pass might change.
  private static func fingerprint(_ script: ScriptModule) throws(TorchError) -> [UInt64] {
    (try script.namedParameters() + script.namedBuffers()).map(\.tensor.fingerprint)
  }

  private func ask(_ images: Tensor) throws(TorchError) -> Tensor {
    try withNoGrad { () throws(TorchError) in try model.confirmedLogits(images) }
  }

  private var isInTrainingMode: Bool { (model as? NetworkClassifier)?.module.modules.contains(where: \.isTraining) ?? false }

  /// The input gradient of the cross-entropy and of the margin at the images themselves.
  private func lookAtGradients(_ findings: inout Findings) throws(TorchError) {
    let input = images.detached().requireGrad()
    let logits = try withGrad { () throws(TorchError) in try model.logits(input) }
    guard logits.requiresGrad else { return Self.notDifferentiable(&findings) }
    let margins = logits.entries(at: labels) - logits.largestOther(than: labels)
    var (zeros, holes) = (0, 0)
    for (loss, retains) in [(logits.crossEntropy(labels, reduction: .sum), true), (margins.sum(), false)] {
      guard let gradient = try Tensor.checkedGradient(of: loss, withRespectTo: input, retainGraph: retains) else {
        return Self.notDifferentiable(&findings)
      }
      func images(_ mask: Tensor) -> Int { Int(mask.to(.int64).sum().item()) }
      holes = max(holes, images(!gradient.isFinite().flattened(from: 1).all(dim: 1)))
      zeros = max(zeros, images(gradient.abs().flattened(from: 1).sum(dim: 1).equal(to: 0)))
    }
    if holes > 0 {
      findings.warnings.append(
        .init(
          code: .nonFinite,
          message: "the loss has a gradient of NaN or infinity at pixels of \(holes) of \(images.size(0)) images, which attacks by gradients leave "
            + "alone; look for a square root, a logarithm or a division at 0 in the model"))
    }
    guard zeros > 0 else { return }
    findings.warnings.append(
      .init(
        code: .zeroGradient,
        message: "the loss has a gradient of exactly zero at \(zeros) of \(images.size(0)) images, so attacks by gradients may see nothing there; "
          + "look at what Square finds, and for rounding or saturation in the model"))
  }

  private static func notDifferentiable(_ findings: inout Findings) {
    findings.isDifferentiable = false
    findings.warnings.append(
      .init(
        code: .notDifferentiable,
        message: "the model's output cannot be differentiated with respect to the image; attacks by gradients were left out and only "
          + "those that ask for logits were run, which is weaker evidence"))
  }

  private static let randomCalls = [
    "torch.rand", "torch.bernoulli", "torch.normal", "torch.multinomial", "torch.poisson", "torch.uniform", "rrelu",
  ]

  // MARK: Checks of the results

  /// AutoAttack's rule: Square breaking more than 0.2 % of samples that attacks by gradients left.
  static func squareBetter(_ outcomes: [Evaluation.Outcome], clean: [Bool], isIndividual: Bool) -> Evaluation.Warning? {
    guard let index = outcomes.firstIndex(where: { $0.name == "square" }) else { return nil }
    let others = (isIndividual ? outcomes : Array(outcomes[..<index])).filter { $0.name != "square" }
    guard let best = others.map(\.robust).min() else { return nil }
    let more = best - outcomes[index].robust
    guard Double(more) > 0.002 * Double(clean.count) else { return nil }
    return .init(
      code: .squareBetter,
      message: "Square, which sees no gradients, broke \(more) of \(clean.count) samples more than the attacks before it; gradients may be masked")
  }
}

/// What the code of a TorchScript archive calls.
private struct ScriptCode {
  private let source: String

  init(_ source: String) { self.source = source }

  func calls(_ names: [String]) -> Bool { names.contains { source.contains($0) } }

  /// A call of dropout whose argument `training` is the constant True.
  var hasActiveDropout: Bool { source.contains(/dropout\w*\([^()\n]*,\s*True\b/) }
}

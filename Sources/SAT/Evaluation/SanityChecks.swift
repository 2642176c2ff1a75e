internal import SwiftTorch

/// Tests of a model with a few samples before the attacks, by AutoAttack's rules if it has a rule.
struct SanityChecks {
  static let samples = 32
  /// The distance of normalised logits above which the answers to an image alone and in a batch differ by more than rounding.
  private static let sameInBatch = 1e-3

  let model: any Classifier
  /// [n, C, H, W], n at most `samples`; correctly classified images, if there are any.
  let images: Tensor
  let labels: Tensor

  struct Findings {
    var warnings: [Evaluation.Warning] = []
    var isDifferentiable = true
    /// True if the model's logits for the same image differ from pass to pass.
    var isRandom = false

    mutating func warn(_ code: Evaluation.Warning.Code, _ message: String) {
      warnings.append(.init(code: code, message: message))
    }
  }

  /// The choices of an evaluation on which the findings depend.
  struct Setting {
    var needsGradient: Bool
    var expectsRandomness: Bool
    var mode: AttackMode
  }

  func run(_ setting: Setting) throws(TorchError) -> Findings {
    var findings = Findings()
    let script = (model as? ScriptClassifier)?.script
    let before = try script.map(Self.fingerprint)
    let answers = try RepeatedAnswers(model, images, labels)
    let hasChanged = try script.map(Self.fingerprint) != before
    findings.isRandom = answers.isRandom
    checkRandomness(answers, setting, &findings)
    checkCode(script?.source, isRandom: answers.isRandom, hasChanged: hasChanged, &findings)
    try checkTrainingMode(answers, &findings)
    if setting.needsGradient { try checkGradients(&findings) }
    return findings
  }

  private func checkRandomness(_ answers: RepeatedAnswers, _ setting: Setting, _ findings: inout Findings) {
    guard answers.isRandom, !setting.expectsRandomness else { return }
    findings.warn(
      .randomized,
      "the model answers the same image differently from pass to pass (normalised logits differ by "
        + "\(decimal(answers.spread, 4))); "
        + (setting.mode == .fast
          ? "the mean logits of up to \(AveragedClassifier.maximumPasses) passes decide each flag, but attacks see single "
            + "passes: use --version rand, which follows mean gradients"
          : "one pass decides each flag, as in the reference, and another may differ: use --version rand --mode fast for votes"))
  }

  /// Looks in an archive's code for gradients, dropout and draws that explain its answers; `code` is nil for other models.
  private func checkCode(_ code: String?, isRandom: Bool, hasChanged: Bool, _ findings: inout Findings) {
    if code?.calls(ScriptClassifier.gradientCalls) == true {
      findings.warn(
        .dynamicDefense,
        "the model computes gradients inside its forward pass, so it may optimise its input or itself at test time; "
          + "attack it with a method made for it")
    } else if hasChanged || (isRandom && code?.calls(Self.randomCalls + ["dropout"]) == false) {
      findings.warn(
        .dynamicDefense,
        "the model changes with use (its weights, buffers or answers depend on earlier passes), so results depend on the order of "
          + "the images; make it a function of its input")
    }
    // In an archive's code, the constant True as the argument `training` turns dropout on.
    let hasActiveDropout = code?.contains(/dropout\w*\([^()\n]*,\s*True\b/) == true
    let isOnlyDropout = code?.calls(["dropout"]) == true && code?.calls(Self.randomCalls) == false
    if hasActiveDropout || (isRandom && (isInTrainingMode || isOnlyDropout)) {
      findings.warn(
        .dropout, "dropout is on in evaluation mode; attacks see a random network, so turn it off before exporting the model")
    }
  }

  private func checkTrainingMode(_ answers: RepeatedAnswers, _ findings: inout Findings) throws(TorchError) {
    if isInTrainingMode {
      findings.warn(
        .trainingMode,
        "the network is in training mode, so images in a batch influence each other; set it to evaluation mode")
    } else if !answers.isRandom, try largestBatchEffect(answers.first) > Self.sameInBatch {
      findings.warn(
        .trainingMode,
        "the model answers an image differently alone, in a batch or in a batch of another order, as with BatchNorm in training "
          + "mode or without running statistics; flags depend on which images share a batch, so make the model answer each image "
          + "by itself")
    }
  }

  /// Returns the largest distance between answers in a batch, in the reversed batch, and for the first and the last image alone.
  private func largestBatchEffect(_ answers: Tensor) throws(TorchError) -> Double {
    var (batch, answers) = (images, answers)
    if batch.size(0) == 1 {
      // A batch needs two images, so the only image is joined by its negative.
      batch = Tensor.concatenated([images, 1 - images])
      answers = try model.answers(batch)
    }
    let count = batch.size(0)
    let reverse = Tensor(Array((0..<count).reversed())).to(batch.device)
    var largest = RepeatedAnswers.distance(try model.answers(batch.rows(at: reverse)).selecting(reverse), answers)
    for index in [0, count - 1] {
      largest = max(largest, RepeatedAnswers.distance(try model.answers(batch[index..<index + 1]), answers[index..<index + 1]))
    }
    return largest
  }

  /// Returns the fingerprints of all tensors that a pass might change.
  private static func fingerprint(_ script: ScriptModule) throws(TorchError) -> [UInt64] {
    (try script.namedParameters() + script.namedBuffers()).map(\.tensor.fingerprint)
  }

  private var isInTrainingMode: Bool { (model as? NetworkClassifier)?.module.modules.contains(where: \.isTraining) ?? false }

  /// Looks for zeros and non-finite values in the input gradients of the cross-entropy and the margin at the clean images.
  private func checkGradients(_ findings: inout Findings) throws(TorchError) {
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
      zeros = max(zeros, images(gradient.norms(.linf).equal(to: 0)))
    }
    if holes > 0 {
      findings.warn(
        .nonFinite,
        "the loss has a gradient of NaN or infinity at pixels of \(holes) of \(images.size(0)) images, and gradient attacks do not "
          + "change these pixels; look for a square root, a logarithm or a division at 0 in the model")
    }
    guard zeros > 0 else { return }
    findings.warn(
      .zeroGradient,
      "the loss has a gradient of exactly zero at \(zeros) of \(images.size(0)) images, so gradient attacks may fail there; "
        + "compare with the result of Square, and look for rounding or saturation in the model")
  }

  private static func notDifferentiable(_ findings: inout Findings) {
    findings.isDifferentiable = false
    findings.warn(
      .notDifferentiable,
      "the model's output cannot be differentiated with respect to the image; only the attacks that need no gradients ran, which "
        + "is weaker evidence")
  }

  private static let randomCalls = [
    "torch.rand", "torch.bernoulli", "torch.normal", "torch.multinomial", "torch.poisson", "torch.uniform", "rrelu",
  ]

  /// Applies AutoAttack's rule: warns if an attack without gradients breaks more than 0.2 % of the samples after the other attacks.
  static func squareBetter(
    _ outcomes: [Evaluation.Outcome], withoutGradients names: Set<String>, isIndividual: Bool
  ) -> Evaluation.Warning? {
    guard let index = outcomes.firstIndex(where: { names.contains($0.name) }) else { return nil }
    let others = (isIndividual ? outcomes : Array(outcomes[..<index])).filter { !names.contains($0.name) }
    guard let best = others.map(\.robust).min() else { return nil }
    let (outcome, samples) = (outcomes[index], outcomes[index].flags.count)
    let more = best - outcome.robust
    guard Double(more) > 0.002 * Double(samples) else { return nil }
    let name = outcome.name.prefix(1).uppercased() + outcome.name.dropFirst()
    return .init(
      code: .squareBetter,
      message: "\(name), which uses no gradients, broke \(more) samples (of \(samples)) more than the other attacks; gradients "
        + "may be masked")
  }
}

extension String {
  fileprivate func calls(_ names: [String]) -> Bool { names.contains { contains($0) } }
}

internal import SwiftTorch

/// The results of the clean pass: predictions, and signs that the outputs are not logits or that the input range is wrong.
struct CleanPass {
  private(set) var predictions: [Int] = []
  private var logits: [Tensor] = []
  private var allProbabilities = true
  private var anyNonFinite = false
  private var brightest = 0.0

  /// Adds a batch of images [n, C, H, W] in [0, 1] and the model's outputs for them, [n, classes].
  mutating func take(_ images: Tensor, _ answers: Tensor) {
    logits.append(answers.to(.cpu))
    predictions += answers.argmax(dim: 1).array(of: Int.self)
    brightest = max(brightest, images.max().item())
    if answers.isFinite().all().item() == 0 {
      anyNonFinite = true
      allProbabilities = false
    } else if allProbabilities {
      let sums = answers.sum(dim: 1)
      allProbabilities = answers.min().item() > -1e-5 && answers.max().item() < 1 + 1e-5 && (sums - 1).abs().max().item() < 1e-5
    }
  }

  /// The state of an evaluation before its first attack.
  var state: EvaluationState {
    let softmaxOutput = Evaluation.Warning(
      code: .softmaxOutput,
      message: "the model's outputs are probabilities, not logits; this weakens attacks, so remove the softmax at its end")
    let nonFinite = Evaluation.Warning(
      code: .nonFinite,
      message: "some of the model's outputs are NaN or infinite; these samples count by the class that argmax returns, and their "
        + "gradients mean nothing")
    let warnings = (allProbabilities ? [softmaxOutput] : []) + (anyNonFinite ? [nonFinite] : [])
    return EvaluationState(logits: Tensor.concatenated(logits), predictions: predictions, warnings: warnings)
  }

  /// Returns a warning if the images fill only a small part of [0, 1], or if the model does no better than guessing.
  func inputRange(_ labels: [Int], _ name: String) -> Evaluation.Warning? {
    if brightest < 0.1 {
      return .init(
        code: .inputRange,
        message: "no pixel of \(name) is brighter than \(decimal(brightest, 4)); expected the range [0, 1], so check whether the "
          + "images were divided by 255 twice")
    }
    let correct = zip(labels, predictions).count { $0 == $1 }
    let classes = logits.first?.size(1) ?? 1
    // The interval of the count includes the accuracy of guessing.
    guard labels.count >= 30, wilsonInterval(correct, of: labels.count).lowerBound <= 1 / Double(classes) else { return nil }
    return .init(
      code: .inputRange,
      message: "the model is right on \(correct) of \(labels.count) images before any attack, no more than by guessing among "
        + "\(classes) classes; it may expect a range other than [0, 1], a normalisation (see --normalize) or another order of the "
        + "classes")
  }
}

internal import SwiftTorch

/// What the images as they are tell about a model: its answers, whether they are logits, and whether the images are what it expects.
struct CleanPass {
  private(set) var predictions: [Int] = []
  private var logits: [Tensor] = []
  private var allProbabilities = true
  private var anyNonFinite = false
  private var brightest = 0.0

  /// - Parameter images: [n, C, H, W] in [0, 1].
  mutating func take(_ images: Tensor, _ answers: Tensor) {
    logits.append(answers.to(.cpu))
    predictions += answers.argmax(dim: 1).array(of: Int.self)
    brightest = max(brightest, images.max().item())
    if !(answers.isFinite().all().item() != 0) {
      anyNonFinite = true
      allProbabilities = false
    } else if allProbabilities {
      let sums = answers.sum(dim: 1)
      allProbabilities =
        answers.min().item() > -1e-5 && answers.max().item() < 1 + 1e-5 && (sums - 1).abs().max().item() < 1e-5
    }
  }

  /// Of an evaluation that has not attacked yet.
  var state: EvaluationState {
    EvaluationState(logits: Tensor.concatenated(logits), predictions: predictions, warnings: outputWarnings)
  }

  private var outputWarnings: [Evaluation.Warning] {
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

  /// Images that reach only a small part of [0, 1], or that the model makes nothing of.
  func inputRange(_ labels: [Int], _ name: String) -> Evaluation.Warning? {
    if brightest < 0.1 {
      return .init(
        code: .inputRange,
        message: "no pixel of \(name) is brighter than \(decimal(brightest, 4)), though [0, 1] is expected; were the images divided by 255 twice?")
    }
    let correct = zip(labels, predictions).count { $0 == $1 }
    let classes = logits.first?.size(1) ?? 1
    // As many as guessing would get, within the error of the count.
    guard labels.count >= 30, wilsonInterval(correct, of: labels.count).lowerBound <= 1 / Double(classes) else { return nil }
    return .init(
      code: .inputRange,
      message: "the model is right on \(correct) of \(labels.count) images before any attack, no more than by guessing among \(classes) classes; "
        + "it may expect another range than [0, 1] or a normalisation (see --normalize), or its classes have another order")
  }
}

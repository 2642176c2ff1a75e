internal import SwiftTorch

/// A random model that is judged by its mean logits over many passes (expectation over transformation, Athalye et al. 2018).
///
/// A vote adds rounds of passes until the mean margin between the label and its nearest rival is some standard errors away from 0.
/// Every vote uses new draws. A search tests hundreds of points, so its luckiest pass proves nothing.
final class AveragedClassifier: Classifier {
  /// Passes in a round. AutoAttack's version `rand` averages gradients over as many.
  static let passesPerRound = 20
  static let maximumPasses = 1000
  /// The number of standard errors that makes a margin clear.
  static let standardErrors = 4.0

  private let model: any Classifier

  init(_ model: any Classifier) { self.model = model }

  var execution: Execution {
    get { model.execution }
    set { model.execution = newValue }
  }

  /// False, because the passes of the search use other draws.
  var isExact: Bool { false }
  var precision: Execution.Precision { model.precision }

  func logits(_ images: Tensor) throws(TorchError) -> Tensor { try model.logits(images) }

  func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { try model.confirmedLogits(images) }

  /// Holds a vote that ends for an image as soon as its mean is right, so that an attack's frequent votes stay cheap.
  func misclassified(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> (isWrong: [Bool], passes: Int) {
    let vote = try vote(images, labels, presumesRight: true)
    return (vote.isRight.map { !$0 }, vote.passes)
  }

  struct Vote {
    /// Mean logits [N, classes].
    var logits: Tensor
    var isRight: [Bool]
    /// True if the margin is clear. For other images, more passes might give the opposite answer.
    var isClear: [Bool]
    /// Samples that passed through the model.
    var passes = 0
  }

  /// Holds a vote that ends for an image [N, C, H, W] as soon as its mean is clearly right or clearly wrong.
  func vote(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> Vote { try vote(images, labels, presumesRight: false) }

  private func vote(_ images: Tensor, _ labels: Tensor, presumesRight: Bool) throws(TorchError) -> Vote {
    try withNoGrad { () throws(TorchError) in
      var (images, labels, open) = (images, labels, Array(0..<labels.count))
      var sums: PassSums?
      var vote = Vote(logits: images, isRight: open.map { _ in true }, isClear: open.map { _ in false })
      for last in stride(from: Self.passesPerRound, through: Self.maximumPasses, by: Self.passesPerRound) where !open.isEmpty {
        for _ in 0..<Self.passesPerRound {
          let logits = try model.confirmedLogits(images)
          if sums == nil {
            let zeros = Tensor.zeros(like: logits.to(.float64))
            sums = PassSums(logits: zeros, gaps: zeros, squares: zeros)
            vote.logits = zeros.to(images.dtype).cloned()
          }
          sums!.take(logits, labels)
        }
        vote.passes += Self.passesPerRound * open.count
        let now = sums!.verdicts(labels, standardErrors: Self.standardErrors)
        let isLast = last + Self.passesPerRound > Self.maximumPasses
        let ending = open.indices.filter { isLast || now.isClear[$0] || (presumesRight && now.isRight[$0]) }
        if ending.isEmpty { continue }
        for row in ending {
          vote.isRight[open[row]] = now.isRight[row]
          vote.isClear[open[row]] = now.isClear[row]
        }
        let mean = sums!.mean.selecting(Tensor(ending).to(labels.device)).to(images.dtype)
        vote.logits.copyInPlace(from: mean, at: Tensor(ending.map { open[$0] }).to(labels.device))
        let isEnding = Set(ending)
        let staying = open.indices.filter { !isEnding.contains($0) }
        let kept = Tensor(staying).to(labels.device)
        open = staying.map { open[$0] }
        images = images.rows(at: kept)
        labels = labels.selecting(kept)
        sums = sums!.selecting(kept)
      }
      return vote
    }
  }

  func move(to device: Device) throws(TorchError) { try model.move(to: device) }
}

/// Sums over the passes of a vote, in float64.
private struct PassSums {
  var passes = 0
  /// The sum of the logits, [N, classes].
  var logits: Tensor
  /// The sum of the label's logit minus each logit, [N, classes].
  var gaps: Tensor
  /// The sum of the squared gaps, [N, classes].
  var squares: Tensor

  mutating func take(_ answers: Tensor, _ labels: Tensor) {
    let z = answers.to(.float64)
    let gap = z.gathered(dim: 1, at: labels.unsqueezed(dim: 1)) - z
    logits += z
    gaps += gap
    squares += gap.square()
    passes += 1
  }

  var mean: Tensor { logits / Double(passes) }

  /// Returns whether the mean is right, and whether its margin to the nearest rival is at least `standardErrors` from 0.
  func verdicts(_ labels: Tensor, standardErrors: Double) -> (isRight: [Bool], isClear: [Bool]) {
    let n = Double(passes)
    let gap = gaps / n
    // The nearest rival has the smallest gap.
    let rival = (-gap).largestOtherClass(than: labels)
    let margin = gap.gathered(dim: 1, at: rival).squeezed(dim: 1)
    let variance = ((squares / n - gap.square()) / (n - 1)).clamped(to: 0...).gathered(dim: 1, at: rival).squeezed(dim: 1)
    // More passes cannot fix NaN or infinity.
    let isClear = margin.abs().greater(than: standardErrors * variance.sqrt()) || !mean.isFinite().all(dim: 1)
    return (mean.classifies(labels).array(of: Bool.self), isClear.array(of: Bool.self))
  }

  func selecting(_ kept: Tensor) -> PassSums {
    var part = self
    part.logits = logits.selecting(kept)
    part.gaps = gaps.selecting(kept)
    part.squares = squares.selecting(kept)
    return part
  }
}

internal import SwiftTorch

/// A model that draws, judged by its mean logits over many passes (expectation over transformation, Athalye et al. 2018).
///
/// A vote takes passes in rounds until the mean is clear by some standard errors of the margin between the label and its nearest
/// rival, which for most images is soon. Every vote draws anew: a search looks at hundreds of points, so the luckiest of its looks
/// says nothing.
final class AveragedClassifier: Classifier {
  /// Passes of a round; as many as AutoAttack's version `rand` averages gradients over.
  static let round = 20
  /// Passes of a vote at most.
  static let most = 1000
  /// Standard errors from which a margin is clear.
  static let sureness = 4.0

  private let model: any Classifier

  init(_ model: any Classifier) { self.model = model }

  var execution: Execution {
    get { model.execution }
    set { model.execution = newValue }
  }

  /// Never: the passes of the search are other draws.
  var isExact: Bool { false }

  func logits(_ images: Tensor) throws(TorchError) -> Tensor { try model.logits(images) }

  func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { try model.confirmedLogits(images) }

  /// A vote that ends for an image as soon as its mean is right, so that what an attack finds is proven, and asking often is cheap.
  func misclassified(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> (isWrong: [Bool], passes: Int) {
    let vote = try vote(images, labels, presumesRight: true)
    return (vote.isRight.map { !$0 }, vote.passes)
  }

  struct Vote {
    /// Mean logits [N, classes].
    var logits: Tensor
    var isRight: [Bool]
    /// Whether the margin is that far from 0; of the others more passes might say the opposite.
    var isClear: [Bool]
    /// Samples that passed through the model.
    var passes = 0
  }

  /// A vote that ends for an image when it is clear, whichever way.
  ///
  /// - Parameters:
  ///   - images: [N, C, H, W].
  ///   - labels: [N], int64.
  func judged(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> Vote { try vote(images, labels, presumesRight: false) }

  private func vote(_ images: Tensor, _ labels: Tensor, presumesRight: Bool) throws(TorchError) -> Vote {
    try withNoGrad { () throws(TorchError) in
      var (images, labels, open) = (images, labels, Array(0..<labels.count))
      var tally: Tally?
      var vote = Vote(logits: images, isRight: open.map { _ in true }, isClear: open.map { _ in false })
      var means: [(rows: [Int], logits: Tensor)] = []
      for last in stride(from: Self.round, through: Self.most, by: Self.round) where !open.isEmpty {
        for _ in 0..<Self.round {
          let logits = try model.confirmedLogits(images)
          if tally == nil { tally = Tally(like: logits) }
          tally!.take(logits, labels)
        }
        vote.passes += Self.round * open.count
        let now = tally!.verdicts(labels, sureness: Self.sureness)
        let isLast = last + Self.round > Self.most
        let ending = open.indices.filter { isLast || now.isClear[$0] || (presumesRight && now.isRight[$0]) }
        if ending.isEmpty { continue }
        for row in ending { (vote.isRight[open[row]], vote.isClear[open[row]]) = (now.isRight[row], now.isClear[row]) }
        means.append((ending.map { open[$0] }, tally!.mean.selecting(Tensor(ending).to(labels.device)).to(images.dtype)))
        let isEnding = Set(ending)
        let staying = open.indices.filter { !isEnding.contains($0) }
        let kept = Tensor(staying).to(labels.device)
        open = staying.map { open[$0] }
        (images, labels, tally) = (images.rows(at: kept), labels.selecting(kept), tally!.selecting(kept))
      }
      guard let first = means.first else { return vote }
      vote.logits = Tensor.zeros(vote.isRight.count, first.logits.size(1), dtype: images.dtype).to(labels.device)
      for (rows, logits) in means { vote.logits.copyInPlace(from: logits, at: Tensor(rows).to(labels.device)) }
      return vote
    }
  }

  func move(to device: Device) throws(TorchError) { try model.move(to: device) }
}

/// Sums over passes, in double precision.
private struct Tally {
  private var passes = 0
  /// [N, classes]: of the logits, of how far the label's lies above each, and of the squares of that.
  private var logits: Tensor
  private var gaps: Tensor
  private var squares: Tensor

  init(like answers: Tensor) {
    logits = Tensor.zeros(like: answers.to(.float64))
    gaps = logits
    squares = logits
  }

  mutating func take(_ answers: Tensor, _ labels: Tensor) {
    let z = answers.to(.float64)
    let gap = z.gathered(dim: 1, at: labels.unsqueezed(dim: 1)) - z
    (logits, gaps, squares) = (logits + z, gaps + gap, squares + gap.square())
    passes += 1
  }

  var mean: Tensor { logits / Double(passes) }

  /// Whether the mean is right, and whether its margin to the nearest rival is so many standard errors away from 0.
  func verdicts(_ labels: Tensor, sureness: Double) -> (isRight: [Bool], isClear: [Bool]) {
    let n = Double(passes)
    let gap = gaps / n
    // The class that lies least below the label.
    let rival = (-gap).largestOtherClass(than: labels)
    let margin = gap.gathered(dim: 1, at: rival).squeezed(dim: 1)
    let variance = ((squares / n - gap.square()) / (n - 1)).clamped(to: 0...).gathered(dim: 1, at: rival).squeezed(dim: 1)
    // Of what is no number more passes make none.
    let isClear = margin.abs().greater(than: sureness * variance.sqrt()) || !mean.isFinite().all(dim: 1)
    return (mean.argmax(dim: 1).equal(to: labels).array(of: Bool.self), isClear.array(of: Bool.self))
  }

  func selecting(_ kept: Tensor) -> Tally {
    var part = self
    (part.logits, part.gaps, part.squares) = (logits.selecting(kept), gaps.selecting(kept), squares.selecting(kept))
    return part
  }
}

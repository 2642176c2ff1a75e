internal import SwiftTorch

/// Tells which images a model classifies correctly, by votes if the model is random.
struct ImageJudge {
  struct Answers {
    var isRight: [Bool] = []
    /// For each image, true if more passes of a random model would not change the answer.
    var isClear: [Bool] = []
    var isFinite: [Bool] = []
  }

  private let model: any Classifier
  private let votes: AveragedClassifier?
  private let device: Device
  private let layout: MemoryFormat

  /// Makes a judge, and finds out whether the model's logits for some images differ from pass to pass.
  init(_ model: any Classifier, trying some: (images: Tensor, labels: Tensor), device: Device, layout: MemoryFormat)
    throws(TorchError)
  {
    self.model = model
    self.device = device
    self.layout = layout
    let isRandom = try RepeatedAnswers(model, some.images.to(device).contiguous(layout), some.labels.to(device)).isRandom
    votes = isRandom ? AveragedClassifier(model) : nil
  }

  var isRandom: Bool { votes != nil }

  /// Judges images [N, C, H, W] in [0, 1].
  func callAsFunction(_ images: Tensor, _ labels: [Int], batchSize size: Int) throws(TorchError) -> Answers {
    var answers = Answers()
    for range in labels.indices.chunks(of: size) {
      let part = images[range].to(device).contiguous(layout)
      let expected = Tensor(Array(labels[range])).to(device)
      let logits: Tensor
      if let votes {
        let vote = try votes.vote(part, expected)
        logits = vote.logits
        answers.isClear += vote.isClear
      } else {
        logits = try model.answers(part)
        answers.isClear += range.map { _ in true }
      }
      answers.isRight += logits.classifies(expected).array(of: Bool.self)
      answers.isFinite += logits.isFinite().all(dim: 1).array(of: Bool.self)
    }
    return answers
  }
}

extension Classifier {
  /// Returns the logits of the network itself, outside the graph.
  func answers(_ images: Tensor) throws(TorchError) -> Tensor {
    try withNoGrad { () throws(TorchError) in try confirmedLogits(images) }
  }
}

/// The logits of several passes over the same images.
struct RepeatedAnswers {
  static let passes = 4
  /// The distance of normalised logits above which two answers differ.
  private static let sameAnswer = 1e-4

  let first: Tensor
  /// The largest distance of an answer from the first.
  let spread: Double
  /// True if every pass classified the same number of images correctly.
  let countsAgree: Bool

  var isRandom: Bool { spread > Self.sameAnswer || !countsAgree }

  init(_ model: any Classifier, _ images: Tensor, _ labels: Tensor) throws(TorchError) {
    var answers: [Tensor] = []
    for _ in 0..<Self.passes { answers.append(try model.answers(images)) }
    first = answers[0]
    spread = answers.dropFirst().map { Self.distance($0, answers[0]) }.max() ?? 0
    countsAgree = Set(answers.map { Int($0.classifies(labels).to(.int64).sum().item()) }).count == 1
  }

  /// Returns the largest distance between rows that are normalised to length 1.
  static func distance(_ a: Tensor, _ b: Tensor) -> Double {
    func unit(_ logits: Tensor) -> Tensor { logits / logits.norm(2, dims: [1], keepDim: true).clamped(to: 1e-12...) }
    let distance = (unit(a) - unit(b)).norm(2, dims: [1]).max().item()
    return distance.isNaN ? 0 : distance
  }
}

internal import Foundation
internal import Glibc

/// The sums over the batches of an epoch; checkpoints inside an epoch contain them.
struct EpochSums: Codable, Equatable {
  private(set) var batches = 0
  private var samples = 0
  private var loss = 0.0
  private var correct = 0
  private var perturbation = 0.0
  private var largest = 0.0
  private var active: [Double] = []
  private var gradientNorm = 0.0
  private var gaps: [Float] = []
  /// The classes predicted in the second half of the epoch.
  private var lateAnswers: Set<Int> = []
  /// The seconds of the batches, data included.
  var seconds = 0.0
  /// The part of `seconds` spent waiting for data.
  var dataSeconds = 0.0
  /// The processor's seconds over all threads during `seconds`.
  var processorSeconds = 0.0

  /// The numbers that one batch adds.
  struct Batch {
    var loss: Double
    var gradientNorm: Double
    /// One entry per sample, as in `predictions`, `perturbation` and `gaps`.
    var labels: [Int]
    var predictions: [Int]
    var perturbation: [Float]
    /// The fraction of samples that moved, one entry per step of the inner maximisation.
    var active: [Double]
    var gaps: [Float]
  }

  /// Adds a batch; a late one is in the second half of the epoch.
  mutating func add(_ batch: Batch, isLate: Bool) {
    let count = batch.labels.count
    samples += count
    batches += 1
    loss += batch.loss * Double(count)
    correct += zip(batch.labels, batch.predictions).count { $0 == $1 }
    perturbation += batch.perturbation.reduce(0) { $0 + Double($1) }
    largest = batch.perturbation.reduce(largest) { max($0, Double($1)) }
    if active.isEmpty { active = Array(repeating: 0, count: batch.active.count) }
    for (i, fraction) in batch.active.enumerated() { active[i] += fraction * Double(count) }
    gradientNorm += batch.gradientNorm
    gaps += batch.gaps
    if isLate { lateAnswers.formUnion(batch.predictions) }
  }

  /// The only class that the network predicted in the second half of the epoch; nil if there were more.
  var constantAnswer: Int? { lateAnswers.count == 1 ? lateAnswers.first : nil }

  static func constantAdvice(_ method: String) -> String {
    let first = method == "p-sat" ? "a lambda that rises later or more slowly" : "--method p-sat"
    return "adversarial training at a large epsilon often gets stuck; try \(first), a smaller epsilon or a lower learning rate"
  }

  func metrics(epoch: Int, lambda: Double?, learningRate: Double, on machine: String) -> EpochMetrics {
    let n = Double(samples)
    return EpochMetrics(
      epoch: epoch, lambda: lambda, learningRate: learningRate, train: .init(loss: loss / n, accuracy: Double(correct) / n),
      validation: nil, perturbation: .init(mean: perturbation / n, max: largest), active: active.map { $0 / n }, psi: .init(gaps),
      gradientNorm: gradientNorm / Double(batches), seconds: seconds, dataSeconds: dataSeconds, processorSeconds: processorSeconds,
      samplesPerSecond: n / seconds, time: Date().timeIntervalSince1970, machine: machine)
  }
}

enum ProcessorClock {
  static var seconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

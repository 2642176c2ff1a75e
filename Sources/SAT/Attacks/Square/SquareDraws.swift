internal import SwiftTorch

/// The random draws of Square, in the order of their use.
protocol SquareDraws {
  /// Returns the upper left corners of windows of side `side` in images of [height, width]: one for all samples or one per sample.
  func corners(_ side: Int, height: Int, width: Int, samples: [Int], step: Int, which: Int) -> SquareCorners
  /// Returns whether the bump of a window lies on its side: one answer for all samples or one per sample.
  func isHorizontal(samples: [Int], step: Int, which: Int) -> [Bool]
  /// Returns ±1, [samples] + shape. `isShared` asks for one draw for all samples, if the mode shares draws.
  func signs(_ shape: [Int], isShared: Bool, samples: [Int], step: Int, which: Int) -> Tensor
}

enum SquareCorners {
  case shared(row: Int, column: Int)
  case perSample(rows: [Int], columns: [Int])
}

/// AutoAttack's draws from one generator for the whole batch. In L2 and L1 the signs depend on the number of open samples.
struct StreamDraws: SquareDraws {
  let generator: Generator

  private func uniform(_ shape: [Int]) -> Tensor { Tensor.rand(shape, generator: generator) }

  func corners(_ side: Int, height: Int, width: Int, samples: [Int], step: Int, which: Int) -> SquareCorners {
    // The reference rounds towards zero in float32, so a window never touches the last row and column.
    func number(below limit: Int) -> Int { Int(uniform([1]).array(of: Float.self)[0] * Float(limit)) }
    let row = number(below: height - side)
    return .shared(row: row, column: number(below: width - side))
  }

  func isHorizontal(samples: [Int], step: Int, which: Int) -> [Bool] { [uniform([1]).item() > 0.5] }

  func signs(_ shape: [Int], isShared: Bool, samples: [Int], step: Int, which: Int) -> Tensor {
    (uniform([isShared ? 1 : samples.count] + shape) * 2.0 - 1.0).sign()
  }
}

/// Draws that depend only on the seed, the sample, the restart and the step.
struct CounterDraws: SquareDraws {
  private let streams: [CounterRandom]
  /// The kinds of numbers that a part of a step, such as a window or a tile, needs.
  private static let kinds = 4

  init(_ attack: Square, _ batch: AttackBatch, restart: Int) {
    streams = batch.samples.map { CounterRandom(seed: attack.seed, sample: $0, attack: attack.name, restart: restart) }
  }

  private func uniform(_ sample: Int, _ step: Int, _ which: Int, _ kind: Int, _ count: Int) -> [Double] {
    streams[sample].uniform(step: (step << 16 | which) * Self.kinds + kind, count: count)
  }

  func corners(_ side: Int, height: Int, width: Int, samples: [Int], step: Int, which: Int) -> SquareCorners {
    let draws = samples.map { uniform($0, step, which, 0, 2) }
    return .perSample(
      rows: draws.map { Int($0[0] * Double(height - side)) }, columns: draws.map { Int($0[1] * Double(width - side)) })
  }

  func isHorizontal(samples: [Int], step: Int, which: Int) -> [Bool] { samples.map { uniform($0, step, which, 1, 1)[0] > 0.5 } }

  func signs(_ shape: [Int], isShared: Bool, samples: [Int], step: Int, which: Int) -> Tensor {
    let count = shape.reduce(1, *)
    let values = samples.flatMap { uniform($0, step, which, 2, count).map { Float($0 < 0.5 ? -1 : 1) } }
    return Tensor(values, shape: [samples.count] + shape)
  }
}

import SwiftTorch
import Testing

@testable import SAT

/// A random linear classifier of images, its data, and in closed form which of them can be broken.
struct LinearOracle {
  let weights: Tensor
  let bias: Tensor
  let images: Tensor
  let labels: Tensor
  let logits: Tensor

  /// - Parameter seed: draws everything. The labels are what the classifier says.
  init(classes: Int, samples: Int, shape: [Int] = [1, 6, 6], seed: UInt64, dtype: DType = .float32) {
    let generator = Generator(seed: seed)
    let size = shape.reduce(1, *)
    let weights = Tensor.randn([classes, size], generator: generator, dtype: dtype)
    // Every class gets its share of the images around 1/2.
    let bias = 0.1 * Tensor.randn([classes], generator: generator, dtype: dtype) - 0.5 * weights.sum(dim: 1)
    // Some values lie on the box's sides, where attacks have no room.
    let images = (Tensor.rand([samples] + shape, generator: generator, dtype: dtype) * 1.4 - 0.2).clamped(to: 0...1)
    self.init(weights, bias, images)
  }

  init(_ weights: Tensor, _ bias: Tensor, _ images: Tensor) {
    self.weights = weights
    self.bias = bias
    self.images = images
    logits = images.flattened(from: 1).linear(weight: weights, bias: bias)
    labels = logits.argmax(dim: 1)
  }

  var function: (Tensor) -> Tensor { { [weights, bias] in $0.flattened(from: 1).linear(weight: weights, bias: bias) } }

  var model: FunctionClassifier { FunctionClassifier(function) }

  func batch(_ samples: [Int]? = nil, capacity: Int? = nil) -> AttackBatch {
    let samples = samples ?? Array(0..<labels.count)
    let indices = Tensor(samples)
    return AttackBatch(
      images: images.selecting(indices), labels: labels.selecting(indices), samples: samples, logits: logits.selecting(indices),
      capacity: capacity)
  }

  /// For every sample the largest value that some other logit can have above the label's, in double precision.
  ///
  /// - Parameter targets: looks at so many of the likeliest others only; nil for all.
  func reach(_ threat: ThreatModel, _ samples: [Int]? = nil, targets: Int? = nil) -> [Double] {
    let (w, b) = (weights.array(of: Double.self, shaped: true), bias.to(.float64).array(of: Double.self))
    let indices = Tensor(samples ?? Array(0..<labels.count))
    let x = images.selecting(indices).flattened(from: 1).array(of: Double.self, shaped: true)
    let order = logits.selecting(indices).sorted(dim: 1, descending: true).indices.array(of: Int.self, shaped: true)
    return x.indices.map { sample in
      let (x, y) = (x[sample], order[sample][0])
      return order[sample].dropFirst().prefix(targets ?? w.count).map { k in
        let v = zip(w[k], w[y]).map { $0 - $1 }
        return zip(v, x).reduce(b[k] - b[y]) { $0 + $1.0 * $1.1 } + Self.gain(v, x, threat)
      }.max()!
    }
  }

  /// max ⟨v, δ⟩ over the ball cut with the box.
  static func gain(_ v: [Double], _ x: [Double], _ threat: ThreatModel) -> Double {
    let room = zip(v, x).map { $0 > 0 ? 1 - $1 : $1 }
    switch threat.norm {
    case .linf: return zip(v, room).reduce(0) { $0 + abs($1.0) * min(threat.epsilon, $1.1) }
    case .l1:
      var left = threat.epsilon
      return v.indices.sorted { abs(v[$0]) > abs(v[$1]) }.reduce(0) { total, i in
        let step = min(left, room[i])
        left -= step
        return total + abs(v[i]) * step
      }
    case .l2:
      // Values that the box stops are set aside until the others, in proportion to |v|, stay inside.
      var (free, used, total) = (Array(v.indices), 0.0, 0.0)
      while true {
        let scale = (max(threat.epsilon * threat.epsilon - used, 0) / max(free.reduce(0) { $0 + v[$1] * v[$1] }, 1e-300))
          .squareRoot()
        let stopped = free.filter { scale * abs(v[$0]) > room[$0] }
        if stopped.isEmpty { return total + free.reduce(0) { $0 + scale * v[$1] * v[$1] } }
        for i in stopped {
          used += room[i] * room[i]
          total += abs(v[i]) * room[i]
        }
        free.removeAll { stopped.contains($0) }
      }
    }
  }

  /// Checks an attack's result against the closed form; samples within `slack` of the boundary may go either way.
  func expect(
    _ result: AttackResult, _ threat: ThreatModel, _ reach: [Double], slack: Double, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let broken = try model.logits(result.images).argmax(dim: 1).notEqual(to: labels).array(of: Bool.self)
    let found = result.findings.map { $0 != nil }
    #expect(found == broken, "\(what): a finding is a misclassified image", sourceLocation: sourceLocation)
    let wrong = reach.indices.filter { abs(reach[$0]) > slack && found[$0] != (reach[$0] > 0) }
    #expect(
      wrong.isEmpty, "\(what): \(wrong.map { "\($0): reach \(reach[$0]), found \(found[$0])" })", sourceLocation: sourceLocation)
    let sizes = threat.size(from: images, to: result.images)
    #expect(sizes.max().item() <= threat.epsilon * (1 + 1e-6), "\(what): the ball", sourceLocation: sourceLocation)
    #expect(result.images.min().item() >= 0 && result.images.max().item() <= 1, "\(what): the box", sourceLocation: sourceLocation)
    let share = Double(found.count { $0 }) / Double(found.count)
    #expect((0.2...0.8).contains(share), "\(what): \(share) broken shows little", sourceLocation: sourceLocation)
  }
}

extension Tensor {
  /// The rows of a matrix.
  func array<T: TensorElement>(of type: T.Type, shaped: Bool) -> [[T]] {
    (0..<size(0)).map { self[$0].to(T.dtype).array(of: T.self) }
  }
}

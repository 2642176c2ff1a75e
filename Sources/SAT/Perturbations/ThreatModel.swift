public import SwiftTorch

/// The norm that measures a perturbation.
public enum Norm: String, Sendable, ConfigurationWord {
  /// The largest change of any value.
  case linf
  /// The Euclidean length of the change.
  case l2
  /// The sum of the changes.
  case l1

  /// The dual norm: the largest increase of a linear function over steps of length 1.
  var dual: Norm {
    switch self {
    case .linf: .l1
    case .l2: .l2
    case .l1: .linf
    }
  }
}

/// The limits of a perturbation: at most epsilon in a norm, with images in [0, 1].
public struct ThreatModel: Sendable, Equatable, Codable {
  public let norm: Norm
  /// The radius of the ball, in pixel units; in (0, 1] for L-inf.
  public let epsilon: Double

  /// - Throws: `SATError` when epsilon is not positive, above `Limit.number`, or above 1 in L-inf, where it reaches every image.
  public init(norm: Norm = .linf, epsilon: Double) throws(SATError) {
    let most = norm == .linf ? 1 : Limit.number.upperBound
    guard epsilon > 0, epsilon <= most else {
      let range = norm == .linf ? "0 < epsilon <= 1, since images lie in [0, 1]" : "0 < epsilon <= \(Fraction(most))"
      throw SATError("epsilon \(Fraction(epsilon)) is outside its range for \(norm.rawValue); expected \(range)")
    }
    self.norm = norm
    self.epsilon = epsilon
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(norm: values.decode(Norm.self, forKey: .norm), epsilon: values.decode(Double.self, forKey: .epsilon))
  }

  /// The largest measured size that counts as epsilon, with an allowance for rounding in float32.
  public var tolerance: Double {
    switch norm {
    case .linf: epsilon + 1e-6
    case .l2: epsilon * (1 + 1e-5) + 1e-6
    case .l1: epsilon * (1 + 1e-5) + 1e-5
    }
  }

  /// Returns the sizes [N] of the perturbations between two batches [N, …].
  public func size(from clean: Tensor, to perturbed: Tensor) -> Tensor { (perturbed - clean).norms(norm) }

  /// Returns a random point inside the ball and the box around each image, for radii [N] or epsilon.
  ///
  /// The noise is uniform in L-inf. L2 uses normal noise and shrinks it to the sphere if it is longer, as the paper's code does.
  /// L1 uses normal noise and projects it. The generator is a CPU generator, so the draws are the same on every device.
  public func randomStart(around clean: Tensor, radii: Tensor? = nil, generator: Generator) -> Tensor {
    let noise: Tensor
    if norm == .linf {
      let range = radii == nil ? epsilon : 1
      noise = Tensor.uniform(like: clean, in: -range...range, generator: generator)
    } else {
      noise = Tensor.randn(clean.shape, generator: generator, dtype: clean.dtype).to(clean.device)
    }
    return start(around: clean, noise, radii)
  }

  /// Does the same with given draws in the images' shape: uniform on [0, 1), or normal with mean 0 and variance 1.
  func randomStart(around clean: Tensor, _ draws: (CounterRandom.Distribution) -> Tensor) -> Tensor {
    start(around: clean, norm == .linf ? (draws(.uniform) * 2.0 - 1.0) * epsilon : draws(.normal))
  }

  /// Applies the noise. L-inf noise lies in a ball of radius epsilon, or of radius 1 if `radii` are given.
  private func start(around clean: Tensor, _ noise: Tensor, _ radii: Tensor? = nil) -> Tensor {
    switch norm {
    case .linf: (clean + (radii.map { noise * $0.aligned(with: clean) } ?? noise)).clamped(to: 0...1)
    case .l2: (clean + shrunk(noise, to: radii?.aligned(with: clean))).clamped(to: 0...1)
    case .l1: FeasibleSet(self, around: clean, radii: radii).projected(clean + noise)
    }
  }

  /// Scales perturbations [N, …] that are longer than epsilon, or than the given radii, back to the sphere.
  fileprivate func shrunk(_ perturbation: Tensor, to radii: Tensor?) -> Tensor {
    let length = perturbation.alignedNorms(.l2).clamped(to: 1e-12...)
    return perturbation * (radii.map { $0 / length } ?? epsilon / length).clamped(to: ...1)
  }
}

/// The set of images that an attack may reach from a batch: the intersection of each image's ball with the box [0, 1].
struct FeasibleSet {
  let threat: ThreatModel
  private(set) var clean: Tensor
  // The L-inf ball intersected with the box is a box, so one clamp projects on it.
  private var low: Tensor?
  private var high: Tensor?
  // The radii of L2 and L1 balls that differ from epsilon, shaped to broadcast.
  private var radii: Tensor?

  /// Creates the set for balls of the given radii [N]; nil for the threat model's epsilon.
  init(_ threat: ThreatModel, around clean: Tensor, radii: Tensor? = nil) {
    self.threat = threat
    self.clean = clean
    let radii = radii?.aligned(with: clean)
    let isBox = threat.norm == .linf
    low = isBox ? (radii.map { clean - $0 } ?? (clean - threat.epsilon)).clamped(to: 0...) : nil
    high = isBox ? (radii.map { clean + $0 } ?? (clean + threat.epsilon)).clamped(to: ...1) : nil
    self.radii = isBox ? nil : radii
  }

  /// Moves `images` by `size`, or by the given sizes [n], along the norm's steepest ascent, then projects them on the set.
  func step(from images: Tensor, along gradient: Tensor, size: Double, sizes: Tensor? = nil, noise: Tensor? = nil) -> Tensor {
    let direction =
      switch threat.norm {
      case .linf: gradient.sign()
      case .l2: gradient / gradient.alignedNorms(.l2).clamped(to: 1e-12...)
      case .l1: Self.sparseAscent(from: images, along: gradient)
      }
    let moved = sizes.map { images + direction * $0.aligned(with: images) } ?? images.adding(direction, alpha: size)
    return projected(noise.map { moved + $0 } ?? moved)
  }

  /// Returns a direction of L1 length 1, spread evenly over the steepest 1 % of the values (SLIDE, Tramèr and Boneh 2019).
  ///
  /// Values that the box blocks do not count. A step along only the steepest value would leave the box at once.
  private static func sparseAscent(from images: Tensor, along gradient: Tensor) -> Tensor {
    let isBlocked =
      (images.lessOrEqual(to: 0) && gradient.less(than: 0)) || (images.greaterOrEqual(to: 1) && gradient.greater(than: 0))
    let slope = gradient.replacing(with: Tensor.zeros(like: gradient), where: isBlocked).flattened(from: 1)
    let steep = slope.abs()
    let threshold = steep.topK(max(1, steep.size(1) / 100)).values.min(dims: [1], keepDim: true)
    let direction = slope.sign() * steep.greaterOrEqual(to: threshold).to(slope.dtype)
    return (direction / direction.abs().sum(dim: 1, keepDim: true).clamped(to: 1...)).reshaped(to: images.shape)
  }

  /// Projects on the ball, then on the box; in L1 on both together.
  func projected(_ images: Tensor) -> Tensor {
    if let low, let high { return images.clamped(between: low, and: high) }
    if threat.norm == .l1 {
      return radii.map { L1Ball.projected(images, around: clean, radii: $0.flattened()) }
        ?? L1Ball.projected(images, around: clean, radius: threat.epsilon)
    }
    return (clean + threat.shrunk(images - clean, to: radii)).clamped(to: 0...1)
  }

  /// Returns the set for the samples at `indices`.
  func selecting(_ indices: Tensor) -> FeasibleSet {
    var part = self
    part.clean = clean.selecting(indices)
    part.low = low?.selecting(indices)
    part.high = high?.selecting(indices)
    part.radii = radii?.selecting(indices)
    return part
  }
}

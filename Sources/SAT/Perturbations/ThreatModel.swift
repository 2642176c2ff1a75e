public import SwiftTorch

/// How the size of a perturbation is measured.
public enum Norm: String, Sendable, ConfigurationWord {
  /// The largest change of any value.
  case linf
  /// The Euclidean length of the change.
  case l2
  /// The sum of the changes.
  case l1

  /// The norm in which the steepest slope of a step of length 1 is measured.
  var dual: Norm {
    switch self {
    case .linf: .l1
    case .l2: .l2
    case .l1: .linf
    }
  }
}

/// What an attacker may do: images in [0, 1], changed by at most epsilon in a norm.
public struct ThreatModel: Sendable, Equatable, Codable {
  public let norm: Norm
  /// Radius in pixel units, in (0, 1] for L-inf.
  public let epsilon: Double

  /// - Throws: `SATError` when epsilon is not positive, above 1 in L-inf where it could reach every image, or above all reason.
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

  /// The largest size that is epsilon up to rounding in float32.
  public var tolerance: Double {
    switch norm {
    case .linf: epsilon + 1e-6
    case .l2: epsilon * (1 + 1e-5) + 1e-6
    case .l1: epsilon * (1 + 1e-5) + 1e-5
    }
  }

  /// The sizes of the perturbations [N] between two batches [N, …].
  public func size(from clean: Tensor, to perturbed: Tensor) -> Tensor {
    (perturbed - clean).norms(norm)
  }

  /// A point drawn inside the ball and the box around each image: uniform in L-inf; in L2 a random direction, shrunk to the
  /// sphere where it is longer (as the paper's code does); in L1 normal noise, projected.
  ///
  /// - Parameters:
  ///   - radii: of the balls [N]; nil for epsilon.
  ///   - generator: a CPU generator; the same draws whatever the device.
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

  /// As above, from given draws of the images' shape on [0, 1) or of mean 0 and variance 1.
  func randomStart(around clean: Tensor, _ draws: (CounterRandom.Distribution) -> Tensor) -> Tensor {
    start(around: clean, norm == .linf ? (draws(.uniform) * 2.0 - 1.0) * epsilon : draws(.normal))
  }

  /// L-inf noise fills a ball of radius epsilon, or 1 with `radii`.
  private func start(around clean: Tensor, _ noise: Tensor, _ radii: Tensor? = nil) -> Tensor {
    switch norm {
    case .linf: (clean + (radii.map { noise * $0.aligned(with: clean) } ?? noise)).clamped(to: 0...1)
    case .l2: (clean + shrunk(noise, to: radii?.aligned(with: clean))).clamped(to: 0...1)
    case .l1: L1Ball.projected(clean + noise, around: clean, radii: radii ?? Tensor.full(like: clean[.all, 0, 0, 0], epsilon))
    }
  }

  /// Scales the perturbations [N, …] that are longer than epsilon, or than the given radii, back to the sphere.
  fileprivate func shrunk(_ perturbation: Tensor, to radii: Tensor?) -> Tensor {
    let length = perturbation.norms(.l2).aligned(with: perturbation).clamped(to: 1e-12...)
    return perturbation * (radii.map { $0 / length } ?? epsilon / length).clamped(to: ...1)
  }
}

/// The set of images an attacker may reach from a batch: each image's ball cut with the box [0, 1].
///
/// Made once per batch, and cut down with it as samples finish.
struct Feasible {
  let threat: ThreatModel
  let clean: Tensor
  // The L-inf ball cut with the box is itself a box, so one clamp projects on it.
  private let low: Tensor?
  private let high: Tensor?
  // Of L2 balls that are not all epsilon, shaped to broadcast.
  private let radii: Tensor?

  /// - Parameter radii: of the balls [N]; nil for the threat model's epsilon.
  init(_ threat: ThreatModel, around clean: Tensor, radii: Tensor? = nil) {
    self.threat = threat
    self.clean = clean
    let radii = radii?.aligned(with: clean)
    let isBox = threat.norm == .linf
    low = isBox ? (radii.map { clean - $0 } ?? (clean - threat.epsilon)).clamped(to: 0...) : nil
    high = isBox ? (radii.map { clean + $0 } ?? (clean + threat.epsilon)).clamped(to: ...1) : nil
    self.radii = isBox ? nil : radii
  }

  private init(_ threat: ThreatModel, _ clean: Tensor, _ low: Tensor?, _ high: Tensor?, _ radii: Tensor?) {
    self.threat = threat
    self.clean = clean
    self.low = low
    self.high = high
    self.radii = radii
  }

  /// Goes from `images` by `size`, or by the given sizes [n], along the steepest ascent of the norm, and back into the set.
  func step(from images: Tensor, along gradient: Tensor, size: Double, sizes: Tensor? = nil, noise: Tensor? = nil) -> Tensor {
    let direction =
      switch threat.norm {
      case .linf: gradient.sign()
      case .l2: gradient / gradient.norms(.l2).aligned(with: gradient).clamped(to: 1e-12...)
      case .l1: Self.sparseAscent(from: images, along: gradient)
      }
    let moved = sizes.map { images + direction * $0.aligned(with: images) } ?? images.adding(direction, alpha: size)
    return projected(noise.map { moved + $0 } ?? moved)
  }

  /// A direction of L1 length 1, spread evenly over the steepest hundredth of the values that the box lets move (SLIDE, Tramèr and
  /// Boneh 2019): the single steepest one would leave the box at once.
  private static func sparseAscent(from images: Tensor, along gradient: Tensor) -> Tensor {
    let isBlocked =
      (images.lessOrEqual(to: 0) && gradient.less(than: 0)) || (images.greaterOrEqual(to: 1) && gradient.greater(than: 0))
    let slope = gradient.replacing(with: Tensor.zeros(like: gradient), where: isBlocked).flattened(from: 1)
    let steep = slope.abs()
    let threshold = steep.topK(max(1, steep.size(1) / 100)).values.min(dims: [1], keepDim: true)
    let direction = slope.sign() * steep.greaterOrEqual(to: threshold).to(slope.dtype)
    return (direction / direction.abs().sum(dim: 1, keepDim: true).clamped(to: 1...)).reshaped(to: images.shape)
  }

  /// The nearest points of the ball, then of the box; of both together in L1.
  func projected(_ images: Tensor) -> Tensor {
    if let low, let high { return images.clamped(between: low, and: high) }
    if threat.norm == .l1 {
      return L1Ball.projected(
        images, around: clean, radii: radii?.flattened() ?? Tensor.full(like: clean[.all, 0, 0, 0], threat.epsilon))
    }
    return (clean + threat.shrunk(images - clean, to: radii)).clamped(to: 0...1)
  }

  /// The part for the samples at `indices`.
  func selecting(_ indices: Tensor) -> Feasible {
    Feasible(threat, clean.selecting(indices), low?.selecting(indices), high?.selecting(indices), radii?.selecting(indices))
  }
}

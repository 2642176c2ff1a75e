public import SwiftTorch

/// How the size of a perturbation is measured.
public enum Norm: String, Sendable, Codable, CaseIterable {
  /// The largest change of any value.
  case linf
  /// The Euclidean length of the change.
  case l2
}

/// What an attacker may do: images in [0, 1], changed by at most epsilon in a norm.
public struct ThreatModel: Sendable, Equatable {
  public let norm: Norm
  /// Radius in pixel units, in (0, 1] for L-inf.
  public let epsilon: Double

  /// - Throws: `SATError` when epsilon is not positive, or above 1 in L-inf where it could reach every image.
  public init(norm: Norm = .linf, epsilon: Double) throws(SATError) {
    guard epsilon > 0, epsilon.isFinite, norm != .linf || epsilon <= 1 else {
      let range = norm == .linf ? "0 < epsilon <= 1, since images lie in [0, 1]" : "epsilon > 0"
      throw SATError("epsilon \(Fraction(epsilon)) is outside its range for \(norm.rawValue); expected \(range)")
    }
    self.norm = norm
    self.epsilon = epsilon
  }

  /// The sizes of the perturbations [N] between two batches [N, …].
  public func size(from clean: Tensor, to perturbed: Tensor) -> Tensor {
    let difference = (perturbed - clean).flattened(from: 1)
    return norm == .linf ? difference.abs().max(dims: [1]) : difference.norm(2, dims: [1])
  }

  /// A point drawn inside the ball and the box around each image: uniform in L-inf; in L2 a random direction, shrunk to the
  /// sphere where it is longer (as the paper's code does).
  ///
  /// - Parameter generator: a CPU generator; the same draws whatever the device.
  public func randomStart(around clean: Tensor, generator: Generator) -> Tensor {
    switch norm {
    case .linf:
      let noise = Tensor.uniform(like: clean, in: -epsilon...epsilon, generator: generator)
      return (clean + noise).clamped(to: 0...1)
    case .l2:
      let noise = Tensor.randn(clean.shape, generator: generator, dtype: clean.dtype).to(clean.device)
      return (clean + shrunk(noise)).clamped(to: 0...1)
    }
  }

  /// Scales the perturbations [N, …] that are longer than epsilon back to the sphere.
  fileprivate func shrunk(_ perturbation: Tensor) -> Tensor {
    let length = Self.perSample(perturbation.flattened(from: 1).norm(2, dims: [1]), like: perturbation)
    return perturbation * (epsilon / length.clamped(to: 1e-12...)).clamped(to: ...1)
  }

  /// One value per sample [N], shaped to broadcast over [N, …].
  static func perSample(_ values: Tensor, like images: Tensor) -> Tensor {
    values.reshaped(to: [-1] + Array(repeating: 1, count: images.ndim - 1))
  }
}

/// The set of images an attacker may reach from a batch: its ball cut with the box [0, 1].
///
/// Made once per batch, and cut down with it as samples finish.
struct Feasible {
  let threat: ThreatModel
  let clean: Tensor
  // The L-inf ball cut with the box is itself a box, so one clamp projects on it.
  private let low: Tensor?
  private let high: Tensor?

  init(_ threat: ThreatModel, around clean: Tensor) {
    self.threat = threat
    self.clean = clean
    let isBox = threat.norm == .linf
    low = isBox ? (clean - threat.epsilon).clamped(to: 0...) : nil
    high = isBox ? (clean + threat.epsilon).clamped(to: ...1) : nil
  }

  private init(_ threat: ThreatModel, _ clean: Tensor, _ low: Tensor?, _ high: Tensor?) {
    (self.threat, self.clean, self.low, self.high) = (threat, clean, low, high)
  }

  /// Goes from `images` by `size` along the steepest ascent of the norm, and back into the set.
  func step(from images: Tensor, along gradient: Tensor, size: Double) -> Tensor {
    if let low, let high { return images.adding(gradient.sign(), alpha: size).clamped(between: low, and: high) }
    let length = ThreatModel.perSample(gradient.flattened(from: 1).norm(2, dims: [1]), like: gradient)
    let moved = images.adding(gradient / length.clamped(to: 1e-12...), alpha: size)
    return (clean + threat.shrunk(moved - clean)).clamped(to: 0...1)
  }

  /// The part for the samples at `indices`.
  func selecting(_ indices: Tensor) -> Feasible {
    Feasible(threat, clean.selecting(indices), low?.selecting(indices), high?.selecting(indices))
  }
}

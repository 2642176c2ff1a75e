public import SwiftTorch

/// The Hessian ∇²_θ of a network's mean cross-entropy over labelled images, with respect to all parameters (paper, Section 3.1).
///
/// At adversarial images it is H_ε of Eq. 9. Weight decay is no part of it, BatchNorm is in evaluation mode, and a parameter that the
/// output does not depend on counts with a row of zeros. A product costs about as much as three gradients (Pearlmutter 1994).
///
/// The images are worked through in chunks, weighted by their sizes. What a chunk's products share, its activations and their
/// gradients, is kept as long as it fits into `keptBytes`, and made anew for each product where it does not or its size is not known.
public final class LossHessian: SymmetricOperator {
  /// The mean cross-entropy.
  public let loss: Double
  /// Its gradient, [size], laid out as `layout` says.
  public let gradient: Tensor
  public let layout: ParameterLayout
  public let dtype: DType
  public let device: Device
  /// Products with vectors so far.
  public private(set) var products = 0

  private let classifier: any Classifier
  private let parameters: [Tensor]
  private let samples: Int
  private let parts: [Part]
  private let isLinearized: Bool

  public var size: Int { layout.count }
  /// ‖∇_θ‖₂ of the mean loss.
  public var gradientNorm: Double { gradient.norm().item() }

  /// How products are computed. Both are exact.
  public enum Method: Sendable {
    /// Linearized where the network allows it, else by double backward.
    case automatic
    /// By differentiating the gradient once more; any network.
    case doubleBackward
  }

  private struct Part {
    let images: Tensor
    let labels: Tensor
    /// Nil where it did not fit.
    var chunk: (any HessianChunk)?
  }

  /// - Parameters:
  ///   - classifier: in evaluation mode, in full precision.
  ///   - images: [N, C, H, W] of the parameters' dtype, on their device.
  ///   - labels: [N], int64.
  ///   - chunk: images that pass through the network together.
  ///   - keptBytes: memory for what products share.
  ///   - progress: hears of the fraction that is done.
  /// - Throws: what the network throws, or `TorchError` when it cannot be differentiated with respect to its parameters.
  public init(
    _ classifier: any Classifier, images: Tensor, labels: Tensor, chunk: Int = 128, method: Method = .automatic,
    keptBytes: Int = 2 << 30, progress: (Double) -> Void = { _ in }
  ) throws(TorchError) {
    precondition(images.size(0) == labels.count && labels.count > 0, "LossHessian: \(images.shape) images, \(labels.count) labels")
    self.classifier = classifier
    parameters = try classifier.differentiableParameters()
    guard let first = parameters.first else {
      throw TorchError(.value, "the model has no parameters of a floating-point type, so its loss has no Hessian")
    }
    (dtype, device) = (first.dtype, first.device)
    layout = ParameterLayout(parameters)
    samples = labels.count
    var parts: [Part] = []
    var (loss, gradient) = (0.0, Tensor.zeros([layout.count], dtype: first.dtype, device: first.device))
    var kept = 0
    var linearized = method == .automatic && classifier is NetworkClassifier
    for start in stride(from: 0, to: samples, by: chunk) {
      let range = start..<min(start + chunk, samples)
      var part = Part(images: images[range], labels: labels[range])
      let made: any HessianChunk
      if start == 0, linearized {
        if let tried = try LinearizedChunk(verifying: classifier, parameters, part.images, part.labels) {
          made = tried
        } else {
          linearized = false
          made = try DoubleBackwardChunk(classifier, parameters, part.images, part.labels)
        }
      } else {
        made = try Self.makeChunk(classifier, parameters, part.images, part.labels, linearized: linearized)
      }
      loss += made.loss
      gradient.addInPlace(layout.joined(made.gradient))
      if samples <= chunk || made.bytes.map({ kept + $0 <= keptBytes }) ?? false {
        kept += made.bytes ?? 0
        part.chunk = made
      }
      parts.append(part)
      progress(Double(range.upperBound) / Double(samples))
    }
    (self.parts, isLinearized) = (parts, linearized)
    self.loss = loss / Double(samples)
    self.gradient = gradient.multiplyInPlace(by: 1 / Double(samples))
  }

  private static func makeChunk(
    _ classifier: any Classifier, _ parameters: [Tensor], _ images: Tensor, _ labels: Tensor, linearized: Bool
  ) throws(TorchError) -> any HessianChunk {
    if linearized, let chunk = try LinearizedChunk(classifier, parameters, images, labels) { return chunk }
    return try DoubleBackwardChunk(classifier, parameters, images, labels)
  }

  public func product(_ vector: Tensor) throws(TorchError) -> Tensor {
    precondition(vector.shape == [size], "LossHessian.product: a vector of shape \(vector.shape); expected [\(size)]")
    products += 1
    let direction = layout.parts(of: vector.detached())
    let sum = Tensor.zeros([size], dtype: dtype, device: device)
    for part in parts {
      let chunk: any HessianChunk
      if let kept = part.chunk {
        chunk = kept
      } else {
        chunk = try Self.makeChunk(classifier, parameters, part.images, part.labels, linearized: isLinearized)
      }
      sum.addInPlace(layout.joined(try chunk.product(direction)))
    }
    return sum.multiplyInPlace(by: 1 / Double(samples))
  }
}

/// The summed cross-entropy of some images with what second-order passes need of it.
protocol HessianChunk {
  var loss: Double { get }
  /// One per parameter.
  var gradient: [Tensor] { get }
  /// Roughly what it occupies; nil when not known.
  var bytes: Int? { get }

  /// Second derivative along a direction, both one tensor per parameter.
  func product(_ direction: [Tensor]) throws(TorchError) -> [Tensor]
}

/// Products by differentiating ⟨gradient, direction⟩.
struct DoubleBackwardChunk: HessianChunk {
  let loss: Double
  let gradient: [Tensor]
  let bytes: Int? = nil
  private let parameters: [Tensor]
  /// The gradients with their graph, and the parameters they are for. A gradient that is constant has none.
  private let graphs: [(index: Int, gradient: Tensor)]

  init(_ classifier: any Classifier, _ parameters: [Tensor], _ images: Tensor, _ labels: Tensor) throws(TorchError) {
    self.parameters = parameters
    let (loss, gradients) = try withGrad { () throws(TorchError) -> (Tensor, [Tensor?]) in
      let loss = try classifier.logits(images).crossEntropy(labels, reduction: .sum)
      guard loss.requiresGrad else {
        throw TorchError(.value, "the model's output does not depend differentiably on its parameters, so its loss has no Hessian")
      }
      return (loss, try Tensor.checkedGradients(of: [loss], withRespectTo: parameters, createGraph: true))
    }
    self.loss = loss.item()
    gradient = zip(gradients, parameters).map { $0?.detached() ?? Tensor.zeros(like: $1) }
    graphs = gradients.enumerated().compactMap { index, gradient in
      gradient.flatMap { $0.requiresGrad ? (index, $0) : nil }
    }
  }

  func product(_ direction: [Tensor]) throws(TorchError) -> [Tensor] {
    if graphs.isEmpty { return parameters.map { Tensor.zeros(like: $0.detached()) } }
    let second = try Tensor.checkedGradients(
      of: graphs.map(\.gradient), withRespectTo: parameters, seeds: graphs.map { direction[$0.index] }, retainGraph: true)
    return zip(second, parameters).map { $0 ?? Tensor.zeros(like: $1.detached()) }
  }
}

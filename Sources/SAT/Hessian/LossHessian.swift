public import SwiftTorch

/// The Hessian ∇²_θ of a network's mean cross-entropy over labelled images, with respect to all parameters (paper, Section 3.1).
///
/// At adversarial images it is H_ε of Eq. 9. It excludes weight decay, and BatchNorm is in evaluation mode. A parameter that does
/// not affect the output has a row of zeros. A product differentiates the gradient once more (Pearlmutter 1994) and costs about two
/// gradients. The graphs of the gradients stay for all products while they fit into a limit; each product rebuilds the others.
public final class LossHessian: SymmetricOperator {
  /// The mean cross-entropy.
  public let loss: Double
  /// The gradient of the loss, [size], in the order of `layout`.
  public let gradient: Tensor
  public let layout: ParameterLayout
  public let dtype: DType
  public let device: Device
  /// The number of products so far.
  public private(set) var products = 0

  private let classifier: any Classifier
  private let parameters: [Tensor]
  private let samples: Int
  private let parts: [Part]

  public var size: Int { layout.count }
  /// The norm ‖∇_θ‖₂ of the mean loss.
  public var gradientNorm: Double { gradient.norm().item() }

  private struct Part {
    let images: Tensor
    let labels: Tensor
    /// The graph of the gradient; nil if it did not fit.
    var graph: GradientGraph?
  }

  /// Computes loss and gradient for a classifier in evaluation mode and full precision, and prepares the products.
  ///
  /// Images [N, C, H, W] have the parameters' dtype and device; labels [N] are int64. `chunk` is the number of images per pass; nil
  /// means 128, or fewer if their graph would exceed 1 GiB. `keptBytes` is an approximate limit on the memory of kept graphs.
  /// - Throws: the network's errors, or `TorchError` for an output without a gradient, or a loss that is not finite.
  public init(
    _ classifier: any Classifier, images: Tensor, labels: Tensor, chunk: Int? = nil, keptBytes: Int = 2 << 30,
    progress: (Double) -> Void = { _ in }
  ) throws(TorchError) {
    precondition(images.size(0) == labels.count && labels.count > 0, "LossHessian: \(images.shape) images, \(labels.count) labels")
    self.classifier = classifier
    parameters = try classifier.differentiableParameters()
    guard let first = parameters.first else {
      throw TorchError(.value, "the model has no parameters of a floating-point type, so its loss has no Hessian")
    }
    dtype = first.dtype
    device = first.device
    layout = ParameterLayout(parameters)
    samples = labels.count
    let graphBytes = try GradientGraph.bytesPerImage(classifier, images[0..<1])
    let chunk = chunk ?? min(max((1 << 30) / (graphBytes ?? 1), 1), 128)
    var parts: [Part] = []
    var (loss, gradient) = (0.0, Tensor.zeros([layout.count], dtype: first.dtype, device: first.device))
    for range in (0..<samples).chunks(of: chunk) {
      var part = Part(images: images[range], labels: labels[range])
      let graph = try GradientGraph(classifier, parameters, part.images, part.labels)
      loss += graph.loss
      gradient.addInPlace(layout.joined(graph.gradient))
      // The size of a graph is unknown for models without hooks; such a graph is kept only if it is the only one.
      if samples <= chunk || graphBytes.map({ $0 * range.upperBound <= keptBytes }) ?? false { part.graph = graph }
      parts.append(part)
      progress(Double(range.upperBound) / Double(samples))
    }
    guard loss.isFinite else {
      throw TorchError(
        .value, "the loss is \(loss), which is not finite, so it has no Hessian; check weights and images for NaN and infinity")
    }
    self.parts = parts
    self.loss = loss / Double(samples)
    self.gradient = gradient.multiplyInPlace(by: 1 / Double(samples))
  }

  public func product(_ vector: Tensor) throws(TorchError) -> Tensor {
    precondition(vector.shape == [size], "LossHessian.product: a vector of shape \(vector.shape); expected [\(size)]")
    products += 1
    let direction = layout.parts(of: vector.detached())
    let sum = Tensor.zeros([size], dtype: dtype, device: device)
    for part in parts {
      let graph = if let kept = part.graph { kept } else { try GradientGraph(classifier, parameters, part.images, part.labels) }
      sum.addInPlace(layout.joined(try graph.product(direction)))
    }
    return sum.multiplyInPlace(by: 1 / Double(samples))
  }
}

/// The gradient of the summed cross-entropy of some images, with the graph for its derivative.
struct GradientGraph {
  let loss: Double
  /// The gradient, one tensor per parameter, outside the graph.
  let gradient: [Tensor]
  private let parameters: [Tensor]
  /// The gradients in the graph, with the positions of their parameters; a constant gradient has no entry.
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
    gradient = gradients.map { $0?.detached() }.orZeros(like: parameters)
    graphs = gradients.enumerated().compactMap { index, gradient in gradient.flatMap { $0.requiresGrad ? (index, $0) : nil } }
  }

  /// Returns the second derivative along a direction, both with one tensor per parameter.
  func product(_ direction: [Tensor]) throws(TorchError) -> [Tensor] {
    if graphs.isEmpty { return parameters.map { Tensor.zeros(like: $0.detached()) } }
    let second = try Tensor.checkedGradients(
      of: graphs.map(\.gradient), withRespectTo: parameters, seeds: graphs.map { direction[$0.index] }, retainGraph: true)
    return second.orZeros(like: parameters)
  }

  /// Returns the approximate bytes of one image in a graph: layers' inputs and outputs, and gradients; nil without hooks.
  static func bytesPerImage(_ classifier: any Classifier, _ image: Tensor) throws(TorchError) -> Int? {
    guard let network = classifier as? NetworkClassifier else { return nil }
    let layers = network.module.modules.compactMap { $0 as? any HookableLayer }
    let (calls, _) = try LayerCall.recorded(layers) { () throws(TorchError) in try network.logits(image) }
    return max(calls.reduce(0) { $0 + 2 * ($1.input.count + $1.shift.count) * $1.shift.dtype.size }, 1)
  }
}

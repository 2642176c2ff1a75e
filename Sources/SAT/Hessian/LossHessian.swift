public import SwiftTorch

/// The Hessian ∇²_θ of a network's mean cross-entropy over labelled images, with respect to all parameters (paper, Section 3.1).
///
/// At adversarial images it is H_ε of Eq. 9. Weight decay is no part of it, BatchNorm is in evaluation mode, and a parameter that the
/// output does not depend on counts with a row of zeros. Products differentiate the gradient once more (Pearlmutter 1994), at
/// about the cost of two gradients.
///
/// The images are worked through in chunks, weighted by their sizes. The graph of a chunk's gradient serves all products as long as it
/// fits into `keptBytes`, and is made anew for each product where it does not.
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

  public var size: Int { layout.count }
  /// ‖∇_θ‖₂ of the mean loss.
  public var gradientNorm: Double { gradient.norm().item() }

  private struct Part {
    let images: Tensor
    let labels: Tensor
    /// Nil where it did not fit.
    var graph: GradientGraph?
  }

  /// - Parameters:
  ///   - classifier: in evaluation mode, in full precision.
  ///   - images: [N, C, H, W] of the parameters' dtype, on their device.
  ///   - labels: [N], int64.
  ///   - chunk: images that pass through the network together; nil for at most 128, fewer where their graph would take more than
  ///     1 GiB.
  ///   - keptBytes: memory for the graphs that are kept, a rough bound.
  ///   - progress: hears of the fraction that is done.
  /// - Throws: what the network throws, or `TorchError` when it cannot be differentiated with respect to its parameters or the loss is
  ///   not finite.
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
    (dtype, device) = (first.dtype, first.device)
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
      // The graph of a model that does not say how large its activations are is kept when it is the only one.
      if samples <= chunk || graphBytes.map({ $0 * range.upperBound <= keptBytes }) ?? false { part.graph = graph }
      parts.append(part)
      progress(Double(range.upperBound) / Double(samples))
    }
    guard loss.isFinite else {
      throw TorchError(
        .value,
        "the loss is \(loss), which is not finite and has no Hessian; check weights and images for values that are not finite")
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
      let graph: GradientGraph
      if let kept = part.graph { graph = kept } else { graph = try GradientGraph(classifier, parameters, part.images, part.labels) }
      sum.addInPlace(layout.joined(try graph.product(direction)))
    }
    return sum.multiplyInPlace(by: 1 / Double(samples))
  }
}

/// The gradient of the summed cross-entropy of some images, ready to be differentiated.
struct GradientGraph {
  let loss: Double
  /// One per parameter, outside the graph.
  let gradient: [Tensor]
  private let parameters: [Tensor]
  /// The gradients in the graph, and the positions of the parameters they are for. A gradient that is constant has none.
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
    graphs = gradients.enumerated().compactMap { index, gradient in
      gradient.flatMap { $0.requiresGrad ? (index, $0) : nil }
    }
  }

  /// The second derivative along a direction, both one tensor per parameter.
  func product(_ direction: [Tensor]) throws(TorchError) -> [Tensor] {
    if graphs.isEmpty { return parameters.map { Tensor.zeros(like: $0.detached()) } }
    let second = try Tensor.checkedGradients(
      of: graphs.map(\.gradient), withRespectTo: parameters, seeds: graphs.map { direction[$0.index] }, retainGraph: true)
    return second.orZeros(like: parameters)
  }

  /// Roughly what an image adds to a graph: what enters and leaves its layers, and the gradients of that; nil for a model that
  /// does not let its layers be watched.
  static func bytesPerImage(_ classifier: any Classifier, _ image: Tensor) throws(TorchError) -> Int? {
    guard let network = classifier as? NetworkClassifier else { return nil }
    var bytes = 0
    _ = try network.module.modules.compactMap { $0 as? any HookableLayer }.withForwardHook { _, input, output in
      bytes += 2 * (input.count + output.count) * output.dtype.size
      return output
    } during: { () throws(TorchError) in
      try withNoGrad { () throws(TorchError) in try network.logits(image) }
    }
    return max(bytes, 1)
  }
}

public import SwiftTorch

/// What an attack or an evaluation sees of a network: images in, logits out.
public protocol Classifier: AnyObject {
  /// How it computes; the device is `move(to:)`'s.
  var execution: Execution { get set }

  /// Logits [N, classes], of the images' dtype, of images [N, C, H, W] in [0, 1].
  ///
  /// - Throws: `TorchError` when the network rejects the images or answers something else; only networks from elsewhere do.
  func logits(_ images: Tensor) throws(TorchError) -> Tensor

  /// The logits of the network as it is in its own precision, whether or not `logits` takes a prepared network or another precision.
  /// They decide whether an image is misclassified.
  func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor

  /// Whether `logits` and `confirmedLogits` are the same computation, so that nothing is learnt by asking twice.
  var isExact: Bool { get }

  /// Whether the network itself misclassifies the images, and how many samples passed through it to find out.
  ///
  /// - Parameters:
  ///   - images: [N, C, H, W] in [0, 1].
  ///   - labels: [N], int64.
  func misclassified(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> (isWrong: [Bool], passes: Int)

  /// Moves the weights to a device.
  func move(to device: Device) throws(TorchError)
}

extension Classifier {
  public func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { try logits(images) }
  public var isExact: Bool { true }

  public func misclassified(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> (isWrong: [Bool], passes: Int) {
    let logits = try withNoGrad { () throws(TorchError) in try confirmedLogits(images) }
    return (logits.argmax(dim: 1).notEqual(to: labels).array(of: Bool.self), labels.count)
  }
}

/// One of the networks of `Architecture`, with an optional normalisation in front.
public final class NetworkClassifier: Classifier {
  public let architecture: Architecture
  public let normalization: Normalization?
  /// The network without its normalisation; its state has PyTorch's keys.
  public let module: any Layer
  fileprivate var preparedPass: ((Tensor) -> Tensor)?
  fileprivate var preparedPrecision: Execution.Precision?

  public var execution = Execution() {
    didSet { module.setMemoryFormat(execution.memoryFormat.format) }
  }

  public init(_ module: any Layer, architecture: Architecture, normalization: Normalization?) {
    self.module = module
    self.architecture = architecture
    self.normalization = normalization
  }

  public func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    let input = normalization.map { $0(images) } ?? images
    if let preparedPass { return preparedPass(input).to(images.dtype) }
    guard (preparedPrecision ?? execution.precision) == .bf16 else { return module(input) }
    return Torch.withAutocast(.bfloat16, on: images.device) { module(input) }.to(.float32)
  }

  public func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { module(normalization.map { $0(images) } ?? images) }

  public var isExact: Bool { preparedPass == nil && (preparedPrecision ?? execution.precision) == .fp32 }

  public func move(to device: Device) { module.move(to: device) }

  /// Runs `body` in a mode of the module and restores the modes on every exit.
  public func withMode<R, E: Error>(_ mode: Module.Mode, _ body: () throws(E) -> R) throws(E) -> R {
    try module.withMode(mode, body)
  }

  /// Runs `body` in evaluation mode with the weights prepared for many passes; `body` does not change them.
  ///
  /// Logits and input gradients are the same up to rounding (of bfloat16, where that is the precision). Weights get no gradients.
  /// - Parameter precision: of the passes inside; `execution.attackPrecision` when nil.
  public func withPreparedWeights<R, E: Error>(
    inputShape: [Int], precision: Execution.Precision? = nil, _ body: () throws(E) -> R
  ) throws(E) -> R {
    let precision = precision ?? execution.attackPrecision
    return try withMode(.evaluation) { () throws(E) in
      preparedPass = (module as? any Preparable)?.prepared(inputShape: inputShape, dtype: precision == .bf16 ? .bfloat16 : nil)
      preparedPrecision = precision
      defer { (preparedPass, preparedPrecision) = (nil, nil) }
      return try body()
    }
  }

  /// The same for images of the shape of `images` [N, C, H, W].
  func withPreparedWeights<R, E: Error>(
    for images: Tensor, precision: Execution.Precision? = nil, _ body: () throws(E) -> R
  ) throws(E) -> R {
    try withPreparedWeights(inputShape: Array(images.shape.dropFirst()), precision: precision, body)
  }
}

extension NetworkClassifier {
  /// Runs `body` with the network as it is in full precision, also inside `withPreparedWeights`: for derivatives with respect to the
  /// weights.
  func withUnpreparedWeights<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let kept = (preparedPass, preparedPrecision)
    (preparedPass, preparedPrecision) = (nil, .fp32)
    defer { (preparedPass, preparedPrecision) = kept }
    return try body()
  }
}

/// A TorchScript archive as a classifier.
public final class ScriptClassifier: Classifier {
  public let script: ScriptModule
  public let normalization: Normalization?
  public var execution = Execution()
  /// Whether its own forward pass computes gradients, for which autograd has to be on.
  private let differentiatesItself: Bool
  /// The dtype of its weights where they share one that images do not have; the archive would refuse other inputs.
  private let weightDType: DType?
  /// For passes without gradients.
  private var frozen: ScriptModule?

  public init(_ script: ScriptModule, normalization: Normalization?) {
    self.script = script
    self.normalization = normalization
    differentiatesItself = Self.gradientCalls.contains { script.source.contains($0) }
    let dtypes = Set(((try? script.namedParameters()) ?? []).map(\.tensor.dtype).filter(\.isFloatingPoint))
    weightDType = dtypes.count == 1 ? dtypes.first.flatMap { $0 == .float32 ? nil : $0 } : nil
  }

  /// How code that computes gradients reads in an archive; other names begin alike, such as that of `no_grad`.
  static let gradientCalls = ["torch.autograd.grad(", "torch.autograd.backward("]

  public func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    let network = isGradEnabled ? script : frozen ?? script
    guard execution.precision == .bf16 else { return try ask(network, images) }
    return try Torch.withAutocast(.bfloat16, on: images.device) { () throws(TorchError) in try ask(network, images) }.to(.float32)
  }

  public func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { try ask(script, images) }

  public var isExact: Bool { execution.precision == .fp32 && frozen == nil }

  private func ask(_ network: ScriptModule, _ images: Tensor) throws(TorchError) -> Tensor {
    let normalized = normalization.map { $0(images) } ?? images
    let converted = weightDType.map { normalized.to($0) } ?? normalized
    // An archive may work in place on what it is given, as Normalize(inplace=True) does; the images are not its own.
    let input = converted.isSame(as: images) ? images.cloned() : converted
    let answer: Tensor
    if differentiatesItself && !isGradEnabled {
      answer = try withGrad { () throws(TorchError) in try network(input) }.detached()
    } else {
      answer = try network(input)
    }
    guard answer.ndim == 2, answer.size(0) == images.size(0), answer.dtype.isFloatingPoint else {
      throw TorchError(
        .value,
        "\(script.name) answered a batch of \(images.size(0)) with a tensor of shape \(answer.shape) and type \(answer.dtype); expected logits "
          + "[\(images.size(0)), classes] of floats")
    }
    return answer.to(images.dtype)
  }

  public func move(to device: Device) throws(TorchError) { try script.move(to: device) }

  /// Runs `body` with the weights prepared for passes without gradients: as constants that are folded in. `body` does not change them.
  public func withPreparedWeights<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    // An archive that cannot be frozen is run as it is.
    frozen = differentiatesItself ? nil : try? script.frozen()
    defer { frozen = nil }
    return try body()
  }
}

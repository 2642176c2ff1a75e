public import SwiftTorch

/// A model as an attack or an evaluation sees it: images in, logits out.
public protocol Classifier: AnyObject {
  /// The way to compute. `move(to:)` sets the device.
  var execution: Execution { get set }

  /// Returns the logits [N, classes], in the images' dtype, for images [N, C, H, W] in [0, 1].
  ///
  /// - Throws: `TorchError` when the network rejects the images or returns something else; sat's own networks never throw.
  func logits(_ images: Tensor) throws(TorchError) -> Tensor

  /// Returns the logits that decide whether an image is misclassified: those of the network itself in its own precision, even if
  /// `logits` uses a prepared network or another precision.
  func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor

  /// Whether `logits` and `confirmedLogits` are the same computation, so that a confirmation is unnecessary.
  var isExact: Bool { get }

  /// The precision of `logits`. Default: fp32.
  var precision: Execution.Precision { get }

  /// Returns whether the network itself misclassifies each image [N, C, H, W] in [0, 1] with int64 labels [N], and the number of
  /// samples that passed through it.
  func misclassified(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> (isWrong: [Bool], passes: Int)

  func move(to device: Device) throws(TorchError)
}

extension Classifier {
  /// Runs `body` with another way to compute and always restores the old one.
  func withExecution<R, E: Error>(_ execution: Execution, _ body: () throws(E) -> R) throws(E) -> R {
    let kept = self.execution
    self.execution = execution
    defer { self.execution = kept }
    return try body()
  }

  public func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { try logits(images) }
  public var isExact: Bool { true }
  public var precision: Execution.Precision { .fp32 }

  public func misclassified(_ images: Tensor, _ labels: Tensor) throws(TorchError) -> (isWrong: [Bool], passes: Int) {
    let logits = try withNoGrad { () throws(TorchError) in try confirmedLogits(images) }
    return (logits.misclassifies(labels).array(of: Bool.self), labels.count)
  }
}

/// A network of the catalogue with an optional normalisation in front.
public final class NetworkClassifier: Classifier {
  public let architecture: Architecture
  public let normalization: Normalization?
  /// The network without its normalisation; its state has PyTorch's keys.
  public let module: any Layer
  private var preparedPass: ((Tensor) -> Tensor)?
  private var preparedPrecision: Execution.Precision?

  /// Called with the number of images after every pass, for the progress inside a long step.
  var onPass: (Int) -> Void = { _ in }
  public var execution = Execution() { didSet { module.setMemoryFormat(execution.memoryFormat.format) } }

  public init(_ module: any Layer, architecture: Architecture, normalization: Normalization?) {
    self.module = module
    self.architecture = architecture
    self.normalization = normalization
  }

  public func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    defer { onPass(images.size(0)) }
    let input = normalization.map { $0(images) } ?? images
    if let preparedPass { return preparedPass(input).to(images.dtype) }
    guard precision == .bf16 else { return module(input) }
    return Torch.withAutocast(.bfloat16, on: images.device) { module(input) }.to(.float32)
  }

  public func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { module(normalization.map { $0(images) } ?? images) }

  public var isExact: Bool { preparedPass == nil && precision == .fp32 }

  public var precision: Execution.Precision { preparedPrecision ?? execution.precision }

  public func move(to device: Device) { module.move(to: device) }

  /// Runs `body` in a mode of the module and always restores the old modes.
  public func withMode<R, E: Error>(_ mode: Module.Mode, _ body: () throws(E) -> R) throws(E) -> R {
    try module.withMode(mode, body)
  }

  /// Runs `body` in evaluation mode with a prepared network for many passes; `body` must not change the weights.
  ///
  /// Images have the shape `inputShape`, [C, H, W]. Without `precision`, the passes use `execution.attackPrecision`. Logits and
  /// input gradients stay the same up to rounding in this precision. The weights get no gradients.
  public func withPreparedWeights<R, E: Error>(
    inputShape: [Int], precision: Execution.Precision? = nil, _ body: () throws(E) -> R
  ) throws(E) -> R {
    let precision = precision ?? execution.attackPrecision
    return try withMode(.evaluation) { () throws(E) in
      preparedPass = (module as? any Preparable)?.prepared(inputShape: inputShape, dtype: precision == .bf16 ? .bfloat16 : nil)
      preparedPrecision = precision
      defer {
        preparedPass = nil
        preparedPrecision = nil
      }
      return try body()
    }
  }

  /// Runs `body` with weights prepared for the image shape of `images` [N, C, H, W].
  func withPreparedWeights<R, E: Error>(
    for images: Tensor, precision: Execution.Precision? = nil, _ body: () throws(E) -> R
  ) throws(E) -> R {
    try withPreparedWeights(inputShape: Array(images.shape.dropFirst()), precision: precision, body)
  }

  /// Runs `body` with the network itself in full precision, also inside `withPreparedWeights`, for derivatives in the weights.
  func withUnpreparedWeights<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let kept = (preparedPass, preparedPrecision)
    preparedPass = nil
    preparedPrecision = .fp32
    defer { (preparedPass, preparedPrecision) = kept }
    return try body()
  }

  /// A network of its own with the same weights, in evaluation mode.
  func copy() throws -> NetworkClassifier {
    let copy = NetworkClassifier(
      try architecture.make(generator: Generator(seed: 0)), architecture: architecture, normalization: normalization)
    if let first = module.parameters.first?.value {
      copy.module.convert(to: first.dtype)
      copy.move(to: first.device)
    }
    try copy.module.loadStateDict(module.stateDict)
    copy.execution = execution
    copy.module.setTraining(false)
    return copy
  }
}

/// A TorchScript archive as a classifier.
public final class ScriptClassifier: Classifier {
  public let script: ScriptModule
  public let normalization: Normalization?
  public var execution = Execution()
  /// True if the archive's forward pass computes gradients, so that autograd must be on.
  private let differentiatesItself: Bool
  /// The dtype of the weights if all share one that is not float32, because the archive would refuse float32 images; else nil.
  private let weightDType: DType?
  /// The frozen archive for passes without gradients.
  private var frozen: ScriptModule?

  public init(_ script: ScriptModule, normalization: Normalization?) {
    self.script = script
    self.normalization = normalization
    differentiatesItself = Self.gradientCalls.contains { script.source.contains($0) }
    let dtypes = Set(((try? script.namedParameters()) ?? []).map(\.tensor.dtype).filter(\.isFloatingPoint))
    weightDType = dtypes.count == 1 ? dtypes.first.flatMap { $0 == .float32 ? nil : $0 } : nil
  }

  /// The calls that compute gradients in an archive's code. They include the bracket, because names such as `no_grad` begin alike.
  static let gradientCalls = ["torch.autograd.grad(", "torch.autograd.backward("]

  public func logits(_ images: Tensor) throws(TorchError) -> Tensor {
    let network = isGradEnabled ? script : frozen ?? script
    guard precision == .bf16 else { return try ask(network, images) }
    return try Torch.withAutocast(.bfloat16, on: images.device) { () throws(TorchError) in try ask(network, images) }.to(.float32)
  }

  public func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { try ask(script, images) }

  public var isExact: Bool { precision == .fp32 && frozen == nil }

  public var precision: Execution.Precision { execution.precision }

  private func ask(_ network: ScriptModule, _ images: Tensor) throws(TorchError) -> Tensor {
    let normalized = normalization.map { $0(images) } ?? images
    let converted = weightDType.map { normalized.to($0) } ?? normalized
    // An archive may change its input in place, as Normalize(inplace=True) does, so it gets a copy of the caller's images.
    let input = converted.isSame(as: images) ? images.cloned() : converted
    let answer =
      differentiatesItself && !isGradEnabled
      ? try withGrad { () throws(TorchError) in try network(input) }.detached() : try network(input)
    guard answer.ndim == 2, answer.size(0) == images.size(0), answer.dtype.isFloatingPoint else {
      throw TorchError(
        .value,
        "\(script.name) returned a tensor of shape \(answer.shape) and type \(answer.dtype) for a batch of \(images.size(0)); "
          + "expected logits [\(images.size(0)), classes] of floats")
    }
    return answer.to(images.dtype)
  }

  public func move(to device: Device) throws(TorchError) { try script.move(to: device) }

  /// Runs `body` with the weights frozen as folded constants, for passes without gradients; `body` must not change the weights.
  public func withPreparedWeights<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    // An archive that cannot be frozen runs unchanged.
    frozen = differentiatesItself ? nil : try? script.frozen()
    defer { frozen = nil }
    return try body()
  }
}

internal import SwiftTorch

/// The smoothness of the adversarial loss at a network's weights: the three quantities of the paper's Fig. 4.
public struct Smoothness: Codable, Sendable, Equatable {
  /// The largest eigenvalue of the Hessian.
  public var eigenvalue: Double
  /// The trace of the Hessian, estimated with random vectors.
  public var trace: Double
  /// The standard error of the trace.
  public var traceError: Double
  /// The gradient norm of the mean loss.
  public var gradientNorm: Double

  /// The settings of the measurement during training.
  public struct Settings: Codable, Sendable, Equatable {
    /// The number of epochs from one measurement to the next; 0 for never. The last epoch is always measured.
    public var every = 0
    /// The number of training images, drawn once.
    public var samples = 256
    /// The number of random vectors for the trace.
    public var probes = 20

    public init(every: Int = 0, samples: Int = 256, probes: Int = 20) {
      self.every = every
      self.samples = samples
      self.probes = probes
    }
  }
}

/// Measures the smoothness under the training attack at full strength, with the same images and draws in every epoch.
struct SmoothnessTracker {
  private let settings: Smoothness.Settings
  private let maximizer: InnerMaximizer
  private let seed: UInt64
  private let images: Tensor
  private let labels: Tensor

  /// Draws the images from the training set, without augmentation. `seed` is the run's; these draws do not affect others.
  init(
    _ settings: Smoothness.Settings, maximizer: InnerMaximizer, data: ImageDataset, device: Device, seed: UInt64
  ) throws(TorchError) {
    self.settings = settings
    self.maximizer = maximizer
    self.seed = seed
    let chosen = Tensor.randperm(data.count, generator: Self.generator(seed, 0))[0..<min(settings.samples, data.count)]
    let (images, labels) = try data.batch(at: chosen)
    self.images = images.to(device)
    self.labels = labels.to(device)
  }

  func isDue(after epoch: Int, of epochs: Int) -> Bool { (epoch + 1) % settings.every == 0 || epoch + 1 == epochs }

  func measure(_ network: NetworkClassifier) throws(TorchError) -> Smoothness {
    var execution = network.execution
    execution.precision = .fp32
    return try network.withExecution(execution) { () throws(TorchError) in
      try network.withMode(.evaluation) { () throws(TorchError) in try measureInFullPrecision(network) }
    }
  }

  private func measureInFullPrecision(_ network: NetworkClassifier) throws(TorchError) -> Smoothness {
    let adversarial = try maximizer.adversarialImages(
      network, images.contiguous(network.execution.memoryFormat.format), labels, generator: Self.generator(seed, 1))
    let hessian = try LossHessian(network, images: adversarial, labels: labels)
    let largest = try Lanczos().eigenvalues(of: hessian, end: .largest, generator: Self.generator(seed, 2))[0]
    let trace = try HutchinsonTrace.estimate(of: hessian, probes: settings.probes, generator: Self.generator(seed, 3))
    return Smoothness(
      eigenvalue: largest.value, trace: trace.mean, traceError: trace.standardError, gradientNorm: hessian.gradientNorm)
  }

  private static func generator(_ seed: UInt64, _ stream: UInt64) -> Generator {
    Generator(seed: seed, stream: stream &+ 0x5EED_0000_0000)
  }
}

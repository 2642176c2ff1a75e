internal import SwiftTorch

/// How smooth the adversarial loss is at a network's weights: the three quantities of the paper's Fig. 4.
public struct Smoothness: Codable, Sendable, Equatable {
  /// The largest eigenvalue of the Hessian.
  public var eigenvalue: Double
  /// Its trace, by random vectors, and the standard error of that.
  public var trace: Double
  public var traceError: Double
  /// Of the mean loss.
  public var gradientNorm: Double

  /// When and on what it is measured during training.
  public struct Settings: Codable, Sendable, Equatable {
    /// Epochs from one measurement to the next; the last epoch is always measured. 0 for never.
    public var every = 0
    /// Training images, drawn once.
    public var samples = 256
    /// Random vectors of the trace.
    public var probes = 20

    public init(every: Int = 0, samples: Int = 256, probes: Int = 20) {
      self.every = every
      self.samples = samples
      self.probes = probes
    }
  }
}

/// Measures the smoothness at the same training images, under the training attack at full strength, with the same draws every
/// time, so that what changes from epoch to epoch is the network.
struct SmoothnessTracker {
  private let settings: Smoothness.Settings
  private let maximizer: InnerMaximizer
  private let seed: UInt64
  private let images: Tensor
  private let labels: Tensor

  /// - Parameters:
  ///   - data: the training set; its images are taken as they are, without augmentation.
  ///   - seed: of the run; the draws disturb no other.
  init(
    _ settings: Smoothness.Settings, maximizer: InnerMaximizer, data: ImageDataset, device: Device, seed: UInt64
  ) throws(TorchError) {
    self.settings = settings
    self.maximizer = maximizer
    self.seed = seed
    let chosen = Tensor.randperm(data.count, generator: Self.generator(seed, 0))[0..<min(settings.samples, data.count)]
    let (images, labels) = try data.batch(at: chosen)
    (self.images, self.labels) = (images.to(device), labels.to(device))
  }

  func isDue(after epoch: Int, of epochs: Int) -> Bool { (epoch + 1) % settings.every == 0 || epoch + 1 == epochs }

  func measure(_ network: NetworkClassifier) throws(TorchError) -> Smoothness {
    let execution = network.execution
    network.execution.precision = .fp32
    defer { network.execution = execution }
    return try network.withMode(.evaluation) { () throws(TorchError) in
      let adversarial = try maximizer.adversarialImages(
        network, images.contiguous(execution.memoryFormat.format), labels, generator: Self.generator(seed, 1))
      let hessian = try LossHessian(network, images: adversarial, labels: labels)
      let largest = try Lanczos().eigenvalues(of: hessian, end: .largest, generator: Self.generator(seed, 2))[0]
      let trace = try HutchinsonTrace.estimate(of: hessian, probes: settings.probes, generator: Self.generator(seed, 3))
      return Smoothness(
        eigenvalue: largest.value, trace: trace.mean, traceError: trace.standardError, gradientNorm: hessian.gradientNorm)
    }
  }

  private static func generator(_ seed: UInt64, _ stream: UInt64) -> Generator {
    Generator(seed: seed, stream: stream &+ 0x5EED_0000_0000)
  }
}

public import SwiftTorch

/// The device, threads, precision and memory format of a run. They change its speed, not its method.
public struct Execution: Codable, Sendable, Equatable {
  /// The precision of a forward and backward pass.
  public enum Precision: String, ConfigurationWord, Sendable {
    case fp32
    /// Autocast: operators that tolerate bfloat16 use it; weights, losses and steps stay in float32.
    case bf16

    /// Returns bfloat16 for a CPU that has instructions for it, otherwise float32.
    static func fastest(on device: Device) -> Precision { !device.isCUDA && Torch.hasBFloat16Instructions ? .bf16 : .fp32 }
  }

  /// The memory format of images and convolutions.
  public enum Layout: String, ConfigurationWord, Sendable {
    /// Channels-last, because it was the faster of the two wherever it was measured.
    case auto
    case contiguous
    case channelsLast = "channels-last"

    public var format: MemoryFormat { self == .contiguous ? .contiguous : .channelsLast }
  }

  /// "best", "cpu", "cuda" or "cuda:N".
  public var device: String
  /// The number of CPU threads; 0 keeps libtorch's choice.
  public var threads: Int
  public var precision: Precision
  /// The precision of the passes that only move images, such as the inner maximisation.
  public var attackPrecision: Precision
  public var memoryFormat: Layout

  /// Creates an execution; without `attackPrecision` the attacks use `precision`.
  public init(
    device: String = "best", threads: Int = 0, precision: Precision = .fp32, attackPrecision: Precision? = nil,
    memoryFormat: Layout = .auto
  ) {
    self.device = device
    self.threads = threads
    self.memoryFormat = memoryFormat
    self.precision = precision
    self.attackPrecision = attackPrecision ?? precision
  }

  /// Sets `attackPrecision` to the fastest precision of the device; throws `TorchError` when the machine does not have the device.
  public mutating func chooseAttackPrecision() throws(TorchError) { attackPrecision = .fastest(on: try place) }

  /// Sets the number of threads and returns the device.
  ///
  /// - Throws: `TorchError` when the machine does not have the device, or the number of threads is not positive.
  public func prepare() throws(TorchError) -> Device {
    if threads != 0 { try Torch.setThreadCount(threads) }
    return try place
  }

  var place: Device { get throws(TorchError) { device == "best" ? .best : try Device(device) } }
}

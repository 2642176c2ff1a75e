public import SwiftTorch

/// Where and how a run computes. Changes speed, not the method.
public struct Execution: Codable, Sendable, Equatable {
  public enum Precision: String, ConfigurationWord, Sendable {
    case fp32
    /// Operators that bear it compute in bfloat16 (autocast); weights, losses and steps stay in float32.
    case bf16

    /// bfloat16 on a CPU that has instructions for it, else float32.
    static func fastest(on device: Device) -> Precision {
      !device.isCUDA && Torch.hasBFloat16Instructions ? .bf16 : .fp32
    }
  }

  public enum Layout: String, ConfigurationWord, Sendable {
    /// Channels-last, the faster of the two where it was measured.
    case auto
    case contiguous
    case channelsLast = "channels-last"

    public var format: MemoryFormat { self == .contiguous ? .contiguous : .channelsLast }
  }

  /// "best", "cpu", "cuda" or "cuda:N".
  public var device: String
  /// 0 leaves it to libtorch.
  public var threads: Int
  public var precision: Precision
  /// Of the passes that only move images, the inner maximisation of training.
  public var attackPrecision: Precision
  public var memoryFormat: Layout

  /// - Parameter attackPrecision: `precision` when nil.
  public init(
    device: String = "best", threads: Int = 0, precision: Precision = .fp32, attackPrecision: Precision? = nil,
    memoryFormat: Layout = .auto
  ) {
    self.device = device
    self.threads = threads
    self.precision = precision
    self.memoryFormat = memoryFormat
    self.attackPrecision = attackPrecision ?? precision
  }

  /// Makes perturbations in the precision that is fastest where this computes.
  ///
  /// - Throws: `TorchError` when the device is not there.
  public mutating func chooseAttackPrecision() throws(TorchError) { attackPrecision = .fastest(on: try place) }

  /// Sets the threads and finds the device.
  ///
  /// - Throws: `TorchError` when the device is not there or the number of threads is not positive.
  public func prepare() throws(TorchError) -> Device {
    if threads != 0 { try Torch.setThreadCount(threads) }
    return try place
  }

  /// The device that `device` names.
  var place: Device {
    get throws(TorchError) { device == "best" ? .best : try Device(device) }
  }
}

/// The device that holds a tensor (`torch.device`).
public enum Device: Sendable, Hashable, CustomStringConvertible {
  case cpu
  /// The CUDA device with this index.
  case cuda(Int)

  /// Parses PyTorch's notation: "cpu", "cuda", "cuda:1". A device that is not there throws too.
  public init(_ text: String) throws(TorchError) {
    if text == "cpu" {
      self = .cpu
      return
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 2, parts[0] == "cuda", let index = parts.count == 1 ? 0 : Int(parts[1]), index >= 0 else {
      throw TorchError(.value, "device '\(text)' is not known; expected cpu, cuda or cuda:N")
    }
    let present = Device.cudaCount
    guard index < present else {
      let have = present == 0 ? "no CUDA device is visible to this libtorch" : "the CUDA devices are cuda:0 to cuda:\(present - 1)"
      throw TorchError(.value, "device '\(text)' is not there: \(have); use cpu\(present == 0 ? "" : " or one of those")")
    }
    self = .cuda(index)
  }

  /// The first CUDA device, or the CPU if there is none.
  public static var best: Device { cudaCount > 0 ? .cuda(0) : .cpu }

  public var isCUDA: Bool { self != .cpu }

  public var description: String {
    switch self {
    case .cpu: "cpu"
    case .cuda(let index): "cuda:\(index)"
    }
  }
}

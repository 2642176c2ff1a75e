internal import SwiftTorch

/// Numbers that tell contents apart but for a chance of one in 2^64; see `Tensor.fingerprint`.
enum Fingerprint {
  static func of(_ text: String) -> UInt64 {
    let bytes = Array(text.utf8)
    return Tensor(bytes: bytes[...], shape: [bytes.count], dtype: .uint8).fingerprint
  }

  /// Of tensors and their names, in any order.
  static func of(_ tensors: NamedTensors) -> UInt64 {
    tensors.sorted { $0.name < $1.name }.flatMap { [of($0.name), $0.tensor.fingerprint] }.reduce(0) { ($0 << 7 | $0 >> 57) ^ $1 }
  }
}

internal import SwiftTorch

/// Numbers that tell contents apart; two contents share one with a chance of one in 2^64. See `Tensor.fingerprint`.
enum Fingerprint {
  static func of(_ text: String) -> UInt64 {
    let bytes = Array(text.utf8)
    return Tensor(bytes: bytes[...], shape: [bytes.count], dtype: .uint8).fingerprint
  }

  /// Returns the fingerprint of tensors and their names; their order does not matter.
  static func of(_ tensors: NamedTensors) -> UInt64 {
    tensors.sorted { $0.name < $1.name }.flatMap { [of($0.name), $0.tensor.fingerprint] }.reduce(0) { ($0 << 7 | $0 >> 57) ^ $1 }
  }
}

extension Tensor: CustomStringConvertible {
  /// The values as PyTorch prints them, with shape, dtype and device. A large tensor shows only its edges.
  ///
  /// Complex and quantized tensors, and those of bits or of several numbers in a byte, show no values.
  public var description: String {
    let facts = "shape: \(shape), dtype: \(dtype)\(device.isCUDA ? ", device: \(device)" : "")"
    guard count > 0 else { return "Tensor([], \(facts))" }
    guard dtype.isFloatingPoint || dtype.isInteger || dtype == .bool, dtype != .float4e2m1fnx2 else {
      return "Tensor(…, \(facts))"
    }
    let edge = count > 1000 ? 3 : Int.max
    return "Tensor(\(detached().rows(edge: edge, indent: 7)), \(facts))"
  }

  private func rows(edge: Int, indent: Int) -> String {
    if ndim == 0 {
      if dtype == .bool { return item() == 0 ? "false" : "true" }
      // The conversion to Int keeps every int64; a Double does not.
      if dtype == .uint64 { return String(UInt64(bitPattern: Int64(to(.int64).array(of: Int.self)[0]))) }
      return dtype.isFloatingPoint ? Self.text(to(.float64).item()) : String(to(.int64).array(of: Int.self)[0])
    }
    let length = size(0)
    let cut = length > 2 * Swift.max(Swift.min(edge, length), 1)
    let shown = cut ? Array(0..<edge) + Array(length - edge..<length) : Array(0..<length)
    var parts = shown.map { self[$0].rows(edge: edge, indent: indent + 1) }
    if cut { parts.insert("…", at: edge) }
    let separator = ndim == 1 ? ", " : ",\n" + String(repeating: " ", count: indent + 1)
    return "[" + parts.joined(separator: separator) + "]"
  }

  private static func text(_ value: Double) -> String {
    if !value.isFinite { return "\(value)" }
    let magnitude = Swift.abs(value)
    if magnitude != 0, magnitude < 1e-4 || magnitude >= 1e6 { return scientific(value) }
    return (value < 0 ? "-" : "") + fixed(magnitude)
  }

  /// Writes a number with four digits after the point.
  private static func fixed(_ magnitude: Double) -> String {
    let scaled = Int((magnitude * 10_000).rounded(.toNearestOrEven))
    let digits = String(scaled % 10_000)
    return "\(scaled / 10_000)." + String(repeating: "0", count: 4 - digits.count) + digits
  }

  private static func scientific(_ value: Double) -> String {
    var exponent = 0
    var mantissa = Swift.abs(value)
    while mantissa >= 10 {
      mantissa /= 10
      exponent += 1
    }
    while mantissa < 1 {
      mantissa *= 10
      exponent -= 1
    }
    if mantissa >= 9.99995 {
      mantissa = 1
      exponent += 1
    }
    return (value < 0 ? "-" : "") + fixed(mantissa) + "e\(exponent)"
  }
}

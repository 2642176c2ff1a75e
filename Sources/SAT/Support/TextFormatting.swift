internal import Foundation

/// Returns a number with a fixed count of decimals, the same in every locale.
public func decimal(_ value: Double, _ places: Int) -> String {
  guard value.isFinite else { return "\(value)" }
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = (abs(value) * scale).rounded()
  guard scaled < 1e15 else { return "\(value)" }
  let whole = Int(scaled)
  let sign = value < 0 && whole != 0 ? "-" : ""
  if places == 0 { return sign + "\(whole)" }
  let part = String(whole % Int(scale))
  return sign + "\(whole / Int(scale))." + String(repeating: "0", count: places - part.count) + part
}

/// Returns a fraction in per cent as a number.
func percentage(_ fraction: Double) -> Double { 100 * fraction }

/// Returns a fraction in per cent, such as "12.34 %".
public func percent(_ fraction: Double, _ places: Int = 2) -> String { decimal(percentage(fraction), places) + " %" }

/// Returns the finished fraction of a task in whole per cent, rounded down so that only a finished task shows "100 %".
public func percentDone(_ fraction: Double) -> String { "\(Int(percentage(fraction))) %" }

/// Returns the ends of an interval in per cent without the percent sign, such as "11.20 – 13.50".
public func percentRange(_ low: Double, _ high: Double) -> String {
  "\(decimal(percentage(low), 2)) – \(decimal(percentage(high), 2))"
}

/// Returns a number with four significant digits, the same in every locale; very large and very small numbers get an exponent.
public func significant(_ value: Double) -> String { String(format: "%.4g", locale: Locale(identifier: "en_US_POSIX"), value) }

/// Returns text that a shell reads as one word; it has quotes only when it needs them.
func shellWord(_ text: String) -> String {
  let isPlain = text.allSatisfy { $0.isASCII && ($0.isLetter || "0123456789_-./+=:,@%".contains($0)) } && !text.isEmpty
  return isPlain ? text : "'" + text.replacing("'", with: "'\\''") + "'"
}

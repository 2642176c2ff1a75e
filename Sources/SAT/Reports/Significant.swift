internal import Foundation

/// A number with four significant digits, in scientific notation where it is very large or very small, whatever the locale.
public func significant(_ value: Double) -> String {
  String(format: "%.4g", locale: Locale(identifier: "en_US_POSIX"), value)
}

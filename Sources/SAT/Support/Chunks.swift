extension Range<Int> {
  /// Returns the range in parts of `size`; the last part may be shorter.
  public func chunks(of size: Int) -> [Range<Int>] {
    stride(from: lowerBound, to: upperBound, by: size).map { $0..<Swift.min($0 + size, upperBound) }
  }
}

extension Range<Int> {
  /// The range in parts of `size`, of which the last may be shorter.
  public func chunks(of size: Int) -> [Range<Int>] {
    stride(from: lowerBound, to: upperBound, by: size).map { $0..<Swift.min($0 + size, upperBound) }
  }
}

/// How far a job is.
public struct JobProgress: Sendable {
  /// The part of the work that is under way.
  public var phase: String
  /// The fraction of the phase that is done, 0…1.
  public var fraction: Double
  /// The same in numbers, for a person; may be empty.
  public var detail = ""
  /// True if the phase may end before its fraction reaches 1, such as an iteration that converges.
  public var mayEndEarly = false

  public init(phase: String, fraction: Double, detail: String = "", mayEndEarly: Bool = false) {
    self.phase = phase
    self.fraction = fraction
    self.detail = detail
    self.mayEndEarly = mayEndEarly
  }
}

/// A job that was asked to stop has no result. The work that it had done is in its state, if it has one.
public struct JobStopped: Error {
  /// The work that was done, for a person, such as "12 of 441 points"; nil where the job does not count it.
  public var done: String?

  public init(done: String? = nil) { self.done = done }
}

extension Range<Int> {
  /// Returns the range in parts of `size`, such as the batches of a job; the last part may be shorter.
  public func chunks(of size: Int) -> [Range<Int>] {
    stride(from: lowerBound, to: upperBound, by: size).map { $0..<Swift.min($0 + size, upperBound) }
  }
}

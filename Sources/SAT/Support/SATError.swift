/// A failure that a user can fix: one sentence with the thing, the expectation and the remedy.
public struct SATError: Error, Sendable, Equatable, CustomStringConvertible {
  public var message: String

  public init(_ message: String) { self.message = message }

  public var description: String { message }
}

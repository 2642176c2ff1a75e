/// A failure a user can act on: one sentence that names the thing, what was expected, and how to mend it.
public struct SATError: Error, Sendable, Equatable, CustomStringConvertible {
  public var message: String

  public init(_ message: String) {
    self.message = message
  }

  public var description: String { message }
}

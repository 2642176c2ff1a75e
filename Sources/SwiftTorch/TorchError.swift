/// A failure that comes from outside the program: a file, a checkpoint, a device, a script, a download, or memory.
///
/// Programming errors (shapes, dtypes, indices) trap instead, with the operator's name and the operands' shapes.
public struct TorchError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kind of the failure. The raw values are the status codes of `torch_shim.h`.
  public enum Code: Int32, Sendable {
    case runtime = 1
    case index = 2
    case outOfMemory = 3
    case value = 4
    case type = 5
    case notImplemented = 6
    case linearAlgebra = 7
    case io = 8
  }

  public var code: Code
  /// One sentence that names the thing, says what was expected, and tells how to fix it.
  public var message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }
}

/// Checks a precondition and prints the message in optimized builds too, because `precondition` drops it there.
@inline(__always) package func require(_ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String) {
  if !condition() { fatalError(message()) }
}

/// A failure that comes from outside the program: a file, a checkpoint, a device, a script, a download, or memory.
///
/// Programming errors (shapes, dtypes, indices) are not thrown; they trap with the operator, libtorch's message and the
/// operands' shapes.
public struct TorchError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What kind of thing went wrong. Raw values are the status codes of `torch_shim.h`.
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
  /// One sentence that names the thing, what was expected, and how to mend it.
  public var message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }
}

/// A precondition whose message is printed in optimized builds too, where `precondition` drops it.
@inline(__always)
package func require(_ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String) {
  if !condition() { fatalError(message()) }
}

/// A precondition whose message is printed in optimized builds too, where `precondition` drops it.
@inline(__always)
package func require(_ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String) {
  if !condition() { fatalError(message()) }
}

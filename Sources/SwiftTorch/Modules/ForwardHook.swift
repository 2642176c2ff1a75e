/// Gets a layer's input and output; what it returns takes the output's place.
public typealias ForwardHook = (_ input: Tensor, _ output: Tensor) -> Tensor

/// A layer whose passes can be watched and changed (`register_forward_hook`): those of this library that hold parameters.
public protocol HookableLayer: Layer {
  /// Called at the end of every pass; nil for none.
  var forwardHook: ForwardHook? { get set }
}

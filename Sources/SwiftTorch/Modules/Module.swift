/// A tensor that is trained. Its `value` requires a gradient.
public final class Parameter {
  /// The tensor itself. Replaced only when it moves to another device, dtype or memory format; optimizers hold the `Parameter`.
  public var value: Tensor

  public init(_ value: Tensor) { self.value = value.detached().requireGrad() }
}

/// A tensor that belongs to a module's state but is not trained, such as a running mean.
public final class Buffer {
  public var value: Tensor

  public init(_ value: Tensor) { self.value = value.detached() }
}

/// A part of a network that owns parameters, buffers and other modules (`torch.nn.Module`).
///
/// Nothing is registered by hand: stored properties of type `Parameter`, `Buffer` and `Module` (also optional, or arrays of
/// parameters or of modules) are found by reflection, once, in the order of their declaration, superclass first. Their names are
/// PyTorch's `state_dict` keys: `layer1.0.conv1.weight`. Plain `Tensor` properties are not state.
open class Module {
  /// Whether layers that behave differently in training do so. Set with `setTraining(_:)` or `withMode(_:_:)`.
  public private(set) final var isTraining = true

  public init() {}

  /// PyTorch's names of properties whose Swift names differ ("runningMean": "running_mean"). An empty name drops the level, as
  /// for the children of a `Sequential`.
  open class var stateNames: [String: String] { [:] }

  private enum Member {
    case parameter(Parameter)
    case buffer(Buffer)
    case module(Module)
  }

  // Reflection costs microseconds per property and the set of members never changes, so the walk is done once.
  private lazy var members: [(name: String, member: Member)] = findMembers()

  private func findMembers() -> [(name: String, member: Member)] {
    var mirrors: [Mirror] = []
    var next: Mirror? = Mirror(reflecting: self)
    while let mirror = next, mirror.subjectType != Module.self {
      mirrors.append(mirror)
      next = mirror.superclassMirror
    }
    var found: [(String, Member)] = []
    for child in mirrors.reversed().flatMap(\.children) {
      guard let label = child.label else { continue }
      let name = Self.stateNames[label] ?? label
      switch child.value {
      case let parameter as Parameter: found.append((name, .parameter(parameter)))
      case let buffer as Buffer: found.append((name, .buffer(buffer)))
      case let module as Module: found.append((name, .module(module)))
      case let list as [Parameter]:
        for (i, parameter) in list.enumerated() { found.append(("\(name).\(i)", .parameter(parameter))) }
      case let list as [Module]:
        for (i, module) in list.enumerated() { found.append((name.isEmpty ? "\(i)" : "\(name).\(i)", .module(module))) }
      default: continue
      }
    }
    return found
  }

  /// Child modules by name, in order.
  public var children: [(name: String, module: Module)] {
    members.compactMap { name, member in
      if case .module(let module) = member { (name, module) } else { nil }
    }
  }

  /// This module and all below it.
  public var modules: [Module] { [self] + children.flatMap { $0.module.modules } }

  /// Parameters of this module alone.
  var ownParameters: [(name: String, parameter: Parameter)] {
    members.compactMap { name, member in
      if case .parameter(let parameter) = member { (name, parameter) } else { nil }
    }
  }

  /// Buffers of this module alone.
  var ownBuffers: [(name: String, buffer: Buffer)] {
    members.compactMap { name, member in
      if case .buffer(let buffer) = member { (name, buffer) } else { nil }
    }
  }

  /// Parameters by PyTorch's names, module by module (`named_parameters`).
  public var namedParameters: [(name: String, parameter: Parameter)] {
    ownParameters
      + children.flatMap { child in
        child.module.namedParameters.map { (Self.join(child.name, $0.name), $0.parameter) }
      }
  }

  /// Buffers by PyTorch's names (`named_buffers`).
  public var namedBuffers: [(name: String, buffer: Buffer)] {
    ownBuffers
      + children.flatMap { child in
        child.module.namedBuffers.map { (Self.join(child.name, $0.name), $0.buffer) }
      }
  }

  private static func join(_ prefix: String, _ name: String) -> String { prefix.isEmpty ? name : "\(prefix).\(name)" }

  /// Every parameter once, also where modules share one, so that an optimizer moves it once (`parameters()`).
  public var parameters: [Parameter] {
    var seen: Set<ObjectIdentifier> = []
    return namedParameters.map(\.parameter).filter { seen.insert(ObjectIdentifier($0)).inserted }
  }

  /// Number of trained values.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.value.count } }

  // MARK: Mode

  /// `train(mode)`, for this module and all below it.
  public final func setTraining(_ training: Bool) {
    for module in modules { module.isTraining = training }
  }

  /// Whether a module behaves as in training or as in use.
  public enum Mode: Sendable { case training, evaluation }

  /// Runs `body` in a mode and gives every module back the mode it had, on every exit.
  public final func withMode<R, E: Error>(_ mode: Mode, _ body: () throws(E) -> R) throws(E) -> R {
    let before = modules.map { ($0, $0.isTraining) }
    setTraining(mode == .training)
    defer { for (module, training) in before { module.isTraining = training } }
    return try body()
  }

  // MARK: Gradients, place, layout

  /// Drops the gradients that `backward()` accumulated (`zero_grad(set_to_none=True)`).
  public final func clearGradients() {
    for parameter in parameters { parameter.value.grad = nil }
  }

  /// Moves parameters and buffers to a device.
  public final func move(to device: Device) {
    replaceTensors { $0.to(device) }
  }

  /// Lays 4-dimensional parameters out in a memory format (`to(memory_format=)`).
  public final func setMemoryFormat(_ format: MemoryFormat) {
    replaceTensors { $0.ndim == 4 ? $0.contiguous(format) : $0 }
  }

  /// Converts floating-point parameters and buffers (`to(dtype)`).
  public final func convert(to dtype: DType) {
    replaceTensors { $0.dtype.isFloatingPoint ? $0.to(dtype) : $0 }
  }

  private func replaceTensors(_ transform: (Tensor) -> Tensor) {
    withNoGrad {
      for parameter in parameters {
        let moved = transform(parameter.value)
        if !moved.isSame(as: parameter.value) { parameter.value = moved.detached().requireGrad() }
      }
      for (_, buffer) in namedBuffers { buffer.value = transform(buffer.value) }
    }
  }
}

/// A module that maps one tensor to one tensor.
public protocol Layer: Module {
  func callAsFunction(_ input: Tensor) -> Tensor
}

/// Gets a layer's input and output; what it returns takes the output's place.
public typealias ForwardHook = (_ input: Tensor, _ output: Tensor) -> Tensor

/// A layer whose passes can be watched and changed (`register_forward_hook`): those of this library that hold parameters.
public protocol HookableLayer: Layer {
  /// Called at the end of every pass; nil for none.
  var forwardHook: ForwardHook? { get set }
}

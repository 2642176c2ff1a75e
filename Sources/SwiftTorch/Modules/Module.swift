/// A tensor that training changes. Its `value` requires a gradient.
public final class Parameter {
  /// The tensor itself. A move to another device, dtype or memory format replaces it, so optimizers hold the `Parameter`.
  public var value: Tensor

  public init(_ value: Tensor) { self.value = value.detached().requireGrad() }
}

/// A tensor of a module's state that gradients do not change, such as a running mean.
public final class Buffer {
  public var value: Tensor

  public init(_ value: Tensor) { self.value = value.detached() }
}

/// A part of a network that owns parameters, buffers and other modules (`torch.nn.Module`).
///
/// The module finds its parts by reflection: the stored properties of type `Parameter`, `Buffer` and `Module`, also optional ones,
/// and arrays of parameters or modules. It looks once, in the order of their declaration, superclass first. Their names are
/// PyTorch's `state_dict` keys: `layer1.0.conv1.weight`. Plain `Tensor` properties are not state.
open class Module {
  /// True in training mode, false in evaluation mode. `setTraining(_:)` and `withMode(_:_:)` set it.
  public private(set) final var isTraining = true

  public init() {}

  /// PyTorch's names for properties with other Swift names ("runningMean": "running_mean"). An empty name drops the level.
  open class var stateNames: [String: String] { [:] }

  // Reflection costs microseconds per property, and the members never change, so the module looks once.
  private lazy var members: [(name: String, value: AnyObject)] = findMembers()

  private func findMembers() -> [(name: String, value: AnyObject)] {
    let mirrors = sequence(first: Mirror(reflecting: self)) { $0.superclassMirror }.prefix { $0.subjectType != Module.self }
    var found: [(String, AnyObject)] = []
    for child in mirrors.reversed().flatMap(\.children) {
      guard let label = child.label else { continue }
      let name = Self.stateNames[label] ?? label
      switch child.value {
      case let parameter as Parameter: found.append((name, parameter))
      case let buffer as Buffer: found.append((name, buffer))
      case let module as Module: found.append((name, module))
      case let list as [Parameter]: for (i, parameter) in list.enumerated() { found.append(("\(name).\(i)", parameter)) }
      case let list as [Module]:
        for (i, module) in list.enumerated() { found.append((name.isEmpty ? "\(i)" : "\(name).\(i)", module)) }
      default: continue
      }
    }
    return found
  }

  private func members<Member>(of type: Member.Type) -> [(name: String, value: Member)] {
    members.compactMap { name, value in (value as? Member).map { (name, $0) } }
  }

  /// The child modules with their names, in order.
  public var children: [(name: String, module: Module)] { members(of: Module.self).map { ($0.name, $0.value) } }

  /// This module and all modules below it, each before its children. The prefix ("layer1.0.") begins the names of its members.
  private var prefixedModules: [(prefix: String, module: Module)] {
    [("", self)]
      + children.flatMap { name, child in
        child.prefixedModules.map { (name.isEmpty ? $0.prefix : "\(name).\($0.prefix)", $0.module) }
      }
  }

  /// This module and all modules below it.
  public var modules: [Module] { prefixedModules.map(\.module) }

  /// All parameters with PyTorch's names, module by module (`named_parameters`).
  public var namedParameters: [(name: String, parameter: Parameter)] {
    prefixedModules.flatMap { prefix, module in module.members(of: Parameter.self).map { (prefix + $0.name, $0.value) } }
  }

  /// All buffers with PyTorch's names (`named_buffers`).
  public var namedBuffers: [(name: String, buffer: Buffer)] {
    prefixedModules.flatMap { prefix, module in module.members(of: Buffer.self).map { (prefix + $0.name, $0.value) } }
  }

  /// The module's parameters and buffers, without copies, under PyTorch's keys and in the order of `state_dict()`.
  public var stateDict: NamedTensors {
    prefixedModules.flatMap { prefix, module in
      module.members(of: Parameter.self).map { (prefix + $0.name, $0.value.value.detached()) }
        + module.members(of: Buffer.self).map { (prefix + $0.name, $0.value.value) }
    }
  }

  /// Every parameter once (`parameters()`). A parameter that modules share appears once, so an optimizer moves it once.
  public var parameters: [Parameter] {
    var seen: Set<ObjectIdentifier> = []
    return namedParameters.map(\.parameter).filter { seen.insert(ObjectIdentifier($0)).inserted }
  }

  /// The number of trained values.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.value.count } }

  // MARK: Mode

  /// Sets the mode of this module and all modules below it (`train(mode)`).
  public final func setTraining(_ training: Bool) { for module in modules { module.isTraining = training } }

  /// The mode in which a module works. BatchNorm and dropout behave differently in the two modes.
  public enum Mode: Sendable { case training, evaluation }

  /// Runs `body` in a mode, and restores the mode of every module on every exit.
  public final func withMode<R, E: Error>(_ mode: Mode, _ body: () throws(E) -> R) throws(E) -> R {
    let before = modules.map { ($0, $0.isTraining) }
    setTraining(mode == .training)
    defer { for (module, training) in before { module.isTraining = training } }
    return try body()
  }

  // MARK: Gradients, device, layout

  /// Drops the gradients that `backward()` accumulated (`zero_grad(set_to_none=True)`).
  public final func clearGradients() { for parameter in parameters { parameter.value.grad = nil } }

  /// Moves parameters and buffers to a device (`to(device)`).
  public final func move(to device: Device) { replaceTensors { $0.to(device) } }

  /// Converts 4-dimensional parameters and buffers to a memory format (`to(memory_format=)`).
  public final func setMemoryFormat(_ format: MemoryFormat) { replaceTensors { $0.ndim == 4 ? $0.contiguous(format) : $0 } }

  /// Converts floating-point parameters and buffers to another dtype (`to(dtype)`).
  public final func convert(to dtype: DType) { replaceTensors { $0.dtype.isFloatingPoint ? $0.to(dtype) : $0 } }

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
public protocol Layer: Module { func callAsFunction(_ input: Tensor) -> Tensor }

/// A function that gets a layer's input and output. Its result replaces the output.
public typealias ForwardHook = (_ input: Tensor, _ output: Tensor) -> Tensor

/// A layer with parameters and a hook that runs at the end of every forward pass (`register_forward_hook`).
public protocol HookableLayer: Layer { var forwardHook: ForwardHook? { get set } }

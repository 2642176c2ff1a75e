internal import Foundation
internal import SwiftTorch
internal import Yams

/// Reads and writes configurations as YAML.
///
/// A written file has all settings. A file that is read may have only the changes to a preset.
public enum ConfigurationFile {
  /// Keys with mappings that a change replaces instead of merging, because the inner keys depend on the kind.
  private static let replaced: Set<String> = ["lambda", "options"]

  /// Returns the configuration with a YAML file's values; throws `SATError` that names the file and the unknown key or wrong value.
  public static func apply(fileAt path: String, to base: TrainingConfiguration) throws -> TrainingConfiguration {
    try apply(yaml: text(ofFileAt: path, expecting: "a YAML configuration"), to: base, source: path)
  }

  /// Returns the method that a YAML file chooses, because presets adapt to it before other values change; nil if it chooses none.
  public static func method(inFileAt path: String) throws -> String? {
    let yaml = try text(ofFileAt: path, expecting: "a YAML configuration")
    return (try? Yams.compose(yaml: yaml))?.mapping?["method"]?.string
  }

  /// Returns the configuration with the values of a YAML text applied.
  public static func apply(yaml: String, to base: TrainingConfiguration, source: String) throws(SATError) -> TrainingConfiguration {
    guard let change = try parsed(yaml, source) else { return base }
    return try merged(change, into: base, source)
  }

  /// Returns the configuration with one value changed, such as `optimizer.learningRate=0.05`.
  public static func apply(setting: String, to base: TrainingConfiguration) throws(SATError) -> TrainingConfiguration {
    guard let equals = setting.firstIndex(of: "="), equals != setting.startIndex else {
      throw SATError("--set \(setting) is not a setting; expected key=value, such as optimizer.learningRate=0.05")
    }
    let keys = setting[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    let value = String(setting[setting.index(after: equals)...])
    let source = "--set \(setting)"
    let node: Node?
    do { node = try Yams.compose(yaml: value) } catch { throw SATError("\(source): the value is not YAML") }
    return try merged(keys.reversed().reduce(node ?? Node("")) { Node([(Node($1), $0)]) }, into: base, source)
  }

  /// Returns the whole configuration as YAML, with exact numbers.
  public static func text(_ configuration: TrainingConfiguration) throws(SATError) -> String {
    do {
      let text = try Yams.serialize(node: tree(of: configuration))
      return text.hasSuffix("\n") ? text : text + "\n"
    } catch { throw SATError("the configuration cannot be written: \(oneLine(error))") }
  }

  /// Reads a configuration from a run's `config.yaml`.
  public static func read(_ path: String) throws -> TrainingConfiguration {
    let yaml = try text(ofFileAt: path, expecting: "a run's configuration")
    guard let node = try parsed(yaml, path) else { throw SATError("\(path) is empty; expected a run's configuration") }
    return try decode(node, path)
  }

  private static func parsed(_ yaml: String, _ source: String) throws(SATError) -> Node? {
    do { return try Yams.compose(yaml: yaml) } catch { throw SATError("\(source) is not YAML: \(oneLine(error))") }
  }

  private static func text(ofFileAt path: String, expecting what: String) throws -> String {
    let bytes = try FileBytes.read(path, expecting: what)
    // YAML allows no other control characters, and a parser's message would quote them.
    let isText = bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F || [0x09, 0x0A, 0x0D].contains($0) }
    guard isText, let text = String(validating: bytes, as: UTF8.self) else {
      throw SATError("\(path) is not a text file; expected \(what) in UTF-8")
    }
    return text
  }

  /// Returns the values that differ, as `key was A, is B`, in the file's order.
  static func differences(_ old: TrainingConfiguration, _ new: TrainingConfiguration) throws(SATError) -> [String] {
    func walk(_ a: Node?, _ b: Node?, _ path: String) -> [String] {
      if let x = a?.mapping, let y = b?.mapping {
        let keys = x.keys.compactMap(\.string) + y.keys.compactMap(\.string).filter { x[$0] == nil }
        return keys.flatMap { walk(x[$0], y[$0], path.isEmpty ? $0 : "\(path).\($0)") }
      }
      func text(_ node: Node?) -> String {
        guard let node else { return "absent" }
        return node.string ?? (try? Yams.serialize(node: node)).map { $0.split(separator: "\n").joined(separator: ", ") }
          ?? "another"
      }
      return text(a) == text(b) ? [] : ["\(path) was \(text(a)), is \(text(b))"]
    }
    return walk(try tree(of: old), try tree(of: new), "")
  }

  private static func tree(of configuration: some Encodable) throws(SATError) -> Node {
    do {
      guard var node = try Yams.compose(yaml: YAMLEncoder().encode(configuration)) else { return Node("") }
      let encoder = JSONEncoder()
      // The setting's own range check refuses values that are not finite, with the setting's name.
      encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: ".inf", negativeInfinity: "-.inf", nan: ".nan")
      try restoreNumbers(in: &node, from: JSONDecoder().decode(Numbers.self, from: encoder.encode(configuration)))
      return node
    } catch { throw SATError("the configuration cannot be written: \(oneLine(error))") }
  }

  /// The numbers of a configuration in its tree; `JSONSerialization` on Linux may round a number to a neighbouring value.
  private enum Numbers: Decodable {
    case object([String: Numbers]), array([Numbers]), number(Double), other

    init(from decoder: any Decoder) throws {
      if let object = try? decoder.container(keyedBy: NamedKey.self) {
        let pairs = try object.allKeys.map { ($0.stringValue, try object.decode(Numbers.self, forKey: $0)) }
        self = .object(Dictionary(uniqueKeysWithValues: pairs))
      } else if let array = try? [Numbers](from: decoder) {
        self = .array(array)
      } else {
        self = (try? decoder.singleValueContainer().decode(Double.self)).map(Numbers.number) ?? .other
      }
    }
  }

  /// Restores exact numbers, because Yams writes 15 digits and an exact double needs 17.
  private static func restoreNumbers(in node: inout Node, from value: Numbers) {
    if var mapping = node.mapping, case .object(let object) = value {
      for key in mapping.keys {
        guard let name = key.string, let inner = object[name], var child = mapping[key] else { continue }
        restoreNumbers(in: &child, from: inner)
        mapping[key] = child
      }
      node = .mapping(mapping)
    } else if var sequence = node.sequence, case .array(let array) = value {
      for (i, inner) in array.enumerated() where i < sequence.count { restoreNumbers(in: &sequence[i], from: inner) }
      node = .sequence(sequence)
    } else if node.scalar?.string.contains("e") == true, node.float != nil, case .number(let number) = value {
      node = Node(Fraction(number).text)
    }
  }

  private static func merged(
    _ change: Node, into base: TrainingConfiguration, _ source: String
  ) throws(SATError) -> TrainingConfiguration {
    var node = try tree(of: base)
    try merge(change, into: &node, path: "", source)
    return try decode(node, source)
  }

  private static func merge(_ change: Node, into base: inout Node, path: String, _ source: String) throws(SATError) {
    guard let changes = change.mapping, var mapping = base.mapping else {
      guard change.mapping == nil, base.mapping == nil else {
        let what = base.mapping == nil ? "one value" : "keys of its own"
        throw SATError("\(source): '\(path.isEmpty ? "the top level" : path)' takes \(what)")
      }
      base = change
      return
    }
    for (key, value) in changes {
      let name = key.string ?? ""
      let full = path.isEmpty ? name : "\(path).\(name)"
      let isOpen = path.hasSuffix("options")
      guard var current = mapping[key] else {
        guard isOpen else {
          let known = mapping.keys.compactMap(\.string).sorted().joined(separator: ", ")
          let expected = known.isEmpty ? "nothing" : "one of \(known)"
          throw SATError("\(source): '\(full)' is not a setting; expected \(expected)\(path.isEmpty ? "" : " under \(path)")")
        }
        mapping[key] = value
        continue
      }
      if name == "augmentation", value.mapping == nil, let word = value.string {
        mapping[key] = try tree(of: Augmentation(named: word))
      } else if replaced.contains(name), let inner = value.mapping, inner["kind"] != nil || name == "options" {
        mapping[key] = value
      } else {
        try merge(value, into: &current, path: full, source)
        mapping[key] = current
      }
    }
    base = .mapping(mapping)
  }

  private static func decode(_ node: Node, _ source: String) throws(SATError) -> TrainingConfiguration {
    do {
      return try YAMLDecoder().decode(TrainingConfiguration.self, from: node)
    } catch {
      let reason = (error as? SATError)?.message ?? (error as? DecodingError).map(describe) ?? oneLine(error)
      throw SATError("\(source): \(reason)")
    }
  }

  private static func describe(_ error: DecodingError) -> String {
    func path(_ keys: [any CodingKey]) -> String { "'\(keys.map(\.stringValue).joined(separator: "."))'" }
    switch error {
    case .keyNotFound(let key, let context): return "\(path(context.codingPath + [key])) is missing"
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      let name = context.codingPath.isEmpty ? "the whole" : path(context.codingPath)
      return "\(name) has a value of the wrong type; expected \(kind(type))"
    case .dataCorrupted(let context):
      if let inner = context.underlyingError as? SATError { return inner.message }
      return "\(path(context.codingPath)): \(context.debugDescription)"
    @unknown default: return oneLine(error)
    }
  }

  private static func kind(_ type: Any.Type) -> String {
    switch type {
    case is Bool.Type: "true or false"
    case is any FixedWidthInteger.Type: "a whole number"
    case is any BinaryFloatingPoint.Type, is Fraction.Type: "a number"
    case is String.Type: "a word"
    default: "keys with values, or a list, as in config.yaml"
    }
  }

  private static func oneLine(_ error: any Error) -> String { "\(error)".split(separator: "\n").joined(separator: " ") }
}

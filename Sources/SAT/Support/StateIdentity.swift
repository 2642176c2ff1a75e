internal import SwiftTorch

/// The identity of a resumable state: the aspects that its numbers depend on, by name, in the order of comparison.
///
/// Two runs may share a state when their identities are equal. Each kind of work can have aspects of its own.
public struct StateIdentity: Sendable, Equatable, Codable, ExpressibleByDictionaryLiteral {
  /// An aspect with its value.
  public struct Aspect: Sendable, Equatable, Codable {
    public var name: String
    public var value: String
  }

  public private(set) var aspects: [Aspect] = []

  public init(dictionaryLiteral elements: (String, String)...) { for (name, value) in elements { self[name] = value } }

  /// The value of an aspect. A new aspect goes to the end; nil removes an aspect.
  public subscript(name: String) -> String? {
    get { aspects.first { $0.name == name }?.value }
    set {
      let place = aspects.firstIndex { $0.name == name } ?? aspects.count
      let old = place..<min(place + 1, aspects.count)
      aspects.replaceSubrange(old, with: newValue.map { [Aspect(name: name, value: $0)] } ?? [])
    }
  }

  /// Returns the first aspect with different values, and both values; nil when the identities are equal.
  func difference(from other: StateIdentity) -> (aspect: String, theirs: String, ours: String)? {
    for name in (aspects + other.aspects).map(\.name) where self[name] != other[name] {
      return (name, other[name] ?? "none", self[name] ?? "none")
    }
    return nil
  }
}

/// The place that `--state` names: a folder for the saved state of stopped work.
public enum StatePlace {
  /// Returns the path of the state file at a place: the place itself if it is a file, as early versions made, else a file in it.
  public static func file(at place: String) -> String { StateFile.path(at: place) }
}

/// Numbers that tell contents apart; two contents share one with a chance of one in 2^64. See `Tensor.fingerprint`.
enum Fingerprint {
  static func of(_ text: String) -> UInt64 {
    let bytes = Array(text.utf8)
    return Tensor(bytes: bytes[...], shape: [bytes.count], dtype: .uint8).fingerprint
  }

  /// Returns the fingerprint of tensors and their names; their order does not matter.
  static func of(_ tensors: NamedTensors) -> UInt64 {
    tensors.sorted { $0.name < $1.name }.flatMap { [of($0.name), $0.tensor.fingerprint] }.reduce(0) { ($0 << 7 | $0 >> 57) ^ $1 }
  }
}

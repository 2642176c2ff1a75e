/// The identity of a resumable state: the aspects that its numbers depend on, by name, in the order of comparison.
///
/// Two runs may share a state when their identities are equal. The subscript adds an aspect, so each kind of work can have
/// aspects of its own.
public struct StateIdentity: Sendable, Equatable, Codable, ExpressibleByDictionaryLiteral {
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
      let place = aspects.firstIndex { $0.name == name }
      switch (place, newValue) {
      case (let place?, let value?): aspects[place].value = value
      case (let place?, nil): aspects.remove(at: place)
      case (nil, let value?): aspects.append(Aspect(name: name, value: value))
      case (nil, nil): break
      }
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

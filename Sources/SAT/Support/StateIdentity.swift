/// What a resumable state belongs to: every aspect that its numbers depend on, by name, in the order of comparison.
///
/// Two runs may share a state when their identities are equal. An aspect is added with the subscript, so a kind of work can tell
/// more about itself than other kinds do.
public struct StateIdentity: Sendable, Equatable, Codable, ExpressibleByDictionaryLiteral {
  public struct Aspect: Sendable, Equatable, Codable {
    public var name: String
    public var value: String
  }

  public private(set) var aspects: [Aspect] = []

  public init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements { self[name] = value }
  }

  /// The value of an aspect. A new aspect goes to the end; nil takes an aspect out.
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

  /// The first aspect that another identity has otherwise, and the words for both values; nil when the two are equal.
  func difference(from other: StateIdentity) -> (aspect: String, theirs: String, ours: String)? {
    for name in (aspects + other.aspects).map(\.name) where self[name] != other[name] {
      return (name, other[name] ?? "none", self[name] ?? "none")
    }
    return nil
  }
}

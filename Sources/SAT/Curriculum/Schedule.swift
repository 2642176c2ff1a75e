/// The difficulty lambda as a function of the epoch alone (Fig. 5 of the paper), so a resumed run needs no saved lambda.
public enum Schedule: Sendable, Equatable {
  case constant(Double)
  /// `initial` until the first milestone, then the value of the last milestone reached; epochs are 0-based.
  case step(initial: Double, milestones: [Milestone])
  /// `initial` before epoch `start`, `final` from epoch `end − 1` on, and equal increments, the first at epoch `start`.
  case linear(initial: Double, final: Double, start: Int, end: Int)

  /// A change of lambda: from `epoch` on, lambda is `value`.
  public struct Milestone: Sendable, Equatable, Codable {
    public var epoch: Int
    public var value: Double

    public init(epoch: Int, value: Double) {
      self.epoch = epoch
      self.value = value
    }
  }

  /// Returns lambda for the training of epoch `epoch` (0-based).
  public func value(at epoch: Int) -> Double {
    switch self {
    case .constant(let value): return value
    case .step(let initial, let milestones): return milestones.last { $0.epoch <= epoch }?.value ?? initial
    case .linear(let initial, let final, let start, let end):
      if epoch < start { return initial }
      // The closed form is exact at the end; a sum of forty times 1/40 overshoots 1.
      if epoch + 1 >= end { return final }
      return initial + (final - initial) * Double(epoch - start + 1) / Double(end - start)
    }
  }

  /// The value before the first change.
  var first: Double {
    switch self {
    case .constant(let value): value
    case .step(let initial, _), .linear(let initial, _, _, _): initial
    }
  }

  /// The epoch from which lambda stays constant.
  var lastChange: Int {
    switch self {
    case .constant: 0
    case .step(_, let milestones): milestones.last?.epoch ?? 0
    case .linear(_, _, _, let end): end
    }
  }
}

extension Schedule: Codable {
  private enum Kind: String, Codable, CaseIterable { case constant, step, linear }
  private enum Key: String, CodingKey { case kind, value, initial, final, milestones, start, end }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    let word = try container.decode(String.self, forKey: .kind)
    switch Kind(rawValue: word) {
    case .constant: self = .constant(try container.decode(Double.self, forKey: .value))
    case .step:
      let milestones = try container.decode([Milestone].self, forKey: .milestones)
      guard zip(milestones, milestones.dropFirst()).allSatisfy({ $0.epoch < $1.epoch }) else {
        throw SATError("the lambda schedule's milestones are out of order; expected rising epochs")
      }
      self = .step(initial: try container.decode(Double.self, forKey: .initial), milestones: milestones)
    case .linear:
      let (start, end) = (try container.decode(Int.self, forKey: .start), try container.decode(Int.self, forKey: .end))
      guard start < end else {
        throw SATError("the linear lambda schedule goes from epoch \(start) to \(end); expected start < end")
      }
      self = .linear(
        initial: try container.decode(Double.self, forKey: .initial), final: try container.decode(Double.self, forKey: .final),
        start: start, end: end)
    case nil: throw SATError("the lambda schedule's kind is '\(word)'; expected constant, step or linear")
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    switch self {
    case .constant(let value):
      try container.encode(Kind.constant, forKey: .kind)
      try container.encode(value, forKey: .value)
    case .step(let initial, let milestones):
      try container.encode(Kind.step, forKey: .kind)
      try container.encode(initial, forKey: .initial)
      try container.encode(milestones, forKey: .milestones)
    case .linear(let initial, let final, let start, let end):
      try container.encode(Kind.linear, forKey: .kind)
      try container.encode(initial, forKey: .initial)
      try container.encode(final, forKey: .final)
      try container.encode(start, forKey: .start)
      try container.encode(end, forKey: .end)
    }
  }
}

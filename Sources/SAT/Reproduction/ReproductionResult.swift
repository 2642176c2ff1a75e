internal import Foundation
internal import SwiftTorch

/// The document `sat-reproduction/1`: our numbers and the paper's numbers.
public struct ReproductionResult: VersionedDocument {
  public static let format = "sat-reproduction/1"

  /// One of our numbers, beside the paper's number if there is one.
  public struct Figure: Codable, Sendable, Equatable {
    public var setting: String
    public var method: String
    /// The name of the quantity. Accuracies are in per cent, as in the paper.
    public var quantity: String
    public var value: Double
    /// The ends of a 95 % interval, if there is one.
    public var low: Double?
    public var high: Double?
    public var paper: Double?

    /// True for the three quantities of the paper's tables.
    var isAccuracy: Bool { Self.accuracies.contains(quantity) }
    static let accuracies = ["clean", "adversarial", "sum"]
  }

  public private(set) var format: String = Self.format
  public var item: String
  public var scale: String
  public var seed: UInt64
  public var changes: [ReproductionPlan.Change]
  public var figures: [Figure]
  public var runs: [String]
  public var versions = ["sat": SATVersion.current, "libtorch": Torch.version]

  init(_ plan: ReproductionPlan, figures: [Figure]) {
    item = plan.item.name
    scale = plan.scale.name.rawValue
    seed = plan.runs.first?.configuration.seed ?? 0
    changes = plan.changes
    self.figures = figures
    runs = plan.item.measurement == .schedule ? [] : plan.runs.map(\.folder.path)
  }

  /// The numbers as CSV, one line per number.
  public var csv: String {
    let rows = figures.map { figure in
      [item, figure.setting, figure.method, figure.quantity, CSV.number(figure.value)]
        + [figure.low, figure.high, figure.paper].map { $0.map(CSV.number) ?? "" }
    }
    return ([["item", "setting", "method", "quantity", "value", "low", "high", "paper"]] + rows).map(CSV.line).joined()
  }

  /// The text for a person: one table per setting, with our numbers and the paper's.
  public var text: String {
    var text = ""
    for change in changes {
      let figures = figures.filter { $0.setting == change.setting }
      text += "\(item), \(change.setting), scale \(scale)\n"
      text += change.changes.isEmpty ? "  the paper's setting\n" : change.changes.map { "  changed: \($0)\n" }.joined()
      let quantities = figures.map(\.quantity).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
      text += (quantities.count <= 3 ? pivoted(figures, quantities) : listed(figures)) + "\n"
    }
    return text
  }

  private func pivoted(_ figures: [Figure], _ quantities: [String]) -> String {
    let methods = figures.map(\.method).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    let hasPaper = figures.contains { $0.paper != nil }
    let rows = methods.map { method in
      [method]
        + quantities.flatMap { quantity in
          let figure = figures.first { $0.method == method && $0.quantity == quantity }
          return [figure.map(Self.ours) ?? ""] + (hasPaper ? [figure.map(Self.papers) ?? ""] : [])
        }
    }
    return TextTable([["method"] + quantities.flatMap { [$0] + (hasPaper ? ["paper"] : []) }] + rows).description
  }

  private func listed(_ figures: [Figure]) -> String {
    let hasPaper = figures.contains { $0.paper != nil }
    let rows = figures.map { [$0.method, $0.quantity, Self.ours($0)] + (hasPaper ? [Self.papers($0)] : []) }
    return TextTable([["method", "quantity", "here"] + (hasPaper ? ["paper"] : [])] + rows, leftColumns: 2).description
  }

  private static func ours(_ figure: Figure) -> String {
    guard let low = figure.low, let high = figure.high else { return text(figure.value, figure) }
    return "\(text(figure.value, figure)) (\(text(low, figure)) – \(text(high, figure)))"
  }

  private static func papers(_ figure: Figure) -> String { figure.paper.map { text($0, figure) } ?? "" }

  private static func text(_ value: Double, _ figure: Figure) -> String {
    figure.isAccuracy ? decimal(value, 2) : significant(value)
  }
}

extension ReproductionResult.Figure {
  /// Creates a figure with the paper's number for an item, if there is one.
  init(item: String, setting: String, method: String, quantity: String, value: Double, low: Double? = nil, high: Double? = nil) {
    let paper = PaperFigures.value(item, setting, method, quantity)
    self.init(setting: setting, method: method, quantity: quantity, value: value, low: low, high: high, paper: paper)
  }

  /// Returns clean accuracy, adversarial accuracy and their sum, in per cent, with 95 % intervals.
  ///
  /// The two accuracies have Wilson's intervals. They come from the same samples, so the sum's interval combines theirs with their
  /// correlation (MOVER, Zou and Donner 2008). It stays between the sums of their ends, and it is not a single point if all samples
  /// give the same answer.
  static func accuracies(
    item: String, setting: String, method: String, clean: Int, adversarial: Int, samples: Int
  ) -> [Self] {
    func proportion(_ quantity: String, _ count: Int) -> Self {
      let interval = wilsonInterval(count, of: samples)
      return .init(
        item: item, setting: setting, method: method, quantity: quantity, value: percentage(Double(count)) / Double(samples),
        low: percentage(interval.lowerBound), high: percentage(interval.upperBound))
    }
    let (a, b) = (proportion("clean", clean), proportion("adversarial", adversarial))
    // A robust sample is also correct when clean, so the covariance is p_b (1 − p_a).
    let (p, q) = (a.value / 100, b.value / 100)
    let correlation = clean == adversarial ? 1 : p < 1 && q > 0 ? (q * (1 - p) / (p * (1 - q))).squareRoot() : 0
    func reach(_ x: Double, _ y: Double) -> Double { (x * x + y * y + 2 * correlation * x * y).squareRoot() }
    let sum = Self(
      item: item, setting: setting, method: method, quantity: "sum", value: a.value + b.value,
      low: a.value + b.value - reach(a.value - a.low!, b.value - b.low!),
      high: a.value + b.value + reach(a.high! - a.value, b.high! - b.value))
    return [a, b, sum]
  }

  /// Returns a quantity of several methods, with a 95 % interval if it has a standard error, and each rank, 1 for the smallest.
  static func ranked(
    item: String, setting: String, quantity: String, _ values: [(method: String, value: Double, error: Double?)]
  ) -> [Self] {
    values.flatMap { method, value, error in
      let reach = error.map { StandardNormal.reach95 * $0 }
      return [
        Self(
          item: item, setting: setting, method: method, quantity: quantity, value: value, low: reach.map { value - $0 },
          high: reach.map { value + $0 }),
        Self(
          item: item, setting: setting, method: method, quantity: "rank of \(quantity)",
          value: Double(1 + values.count { $0.value < value })),
      ]
    }
  }
}

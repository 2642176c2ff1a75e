/// The paper's printed numbers, from `paper.csv`.
///
/// Accuracies are in per cent, and rank 1 is the smallest. Lambda and correlations are unchanged. Figures without printed numbers
/// have no entry.
public enum PaperFigures {
  /// A number that the paper prints.
  public struct Figure: Sendable, Equatable {
    /// The item's name, such as "table-1" or "fig-8".
    public var item: String
    /// The preset with the paper's setting.
    public var setting: String
    public var method: String
    public var quantity: String
    public var value: Double
  }

  public static let all: [Figure] = String(decoding: PackageResources.paper_csv, as: UTF8.self).split(separator: "\n").dropFirst()
    .map {
      let fields = $0.split(separator: ",").map(String.init)
      return Figure(item: fields[0], setting: fields[1], method: fields[2], quantity: fields[3], value: Double(fields[4])!)
    }

  /// Returns the paper's value of a quantity; nil if the paper prints none.
  public static func value(_ item: String, _ setting: String, _ method: String, _ quantity: String) -> Double? {
    all.first { $0.item == item && $0.setting == setting && $0.method == method && $0.quantity == quantity }?.value
  }
}

/// The numbers the paper prints, from `paper.csv`: accuracies in per cent, ranks from 1 for the smallest, lambda and correlations as they
/// are. Figures that are only drawn have none.
public enum PaperFigures {
  public struct Figure: Sendable, Equatable {
    /// "table-1" to "fig-8".
    public var item: String
    /// The preset that has the paper's setting.
    public var setting: String
    public var method: String
    public var quantity: String
    public var value: Double
  }

  public static let all: [Figure] = String(decoding: PackageResources.paper_csv, as: UTF8.self).split(separator: "\n").dropFirst().map {
    let fields = $0.split(separator: ",").map(String.init)
    return Figure(item: fields[0], setting: fields[1], method: fields[2], quantity: fields[3], value: Double(fields[4])!)
  }

  /// What the paper has for a quantity, if it says.
  public static func value(_ item: String, _ setting: String, _ method: String, _ quantity: String) -> Double? {
    all.first { $0.item == item && $0.setting == setting && $0.method == method && $0.quantity == quantity }?.value
  }
}

/// The planned work of a reproduction, and the finished part of it.
public struct ReproductionListing: Encodable, Sendable {
  public struct Run: Encodable, Sendable {
    public var setting: String
    public var method: String
    public var folder: String
    public var epochs: Int
    public var epochsDone: Int
  }

  public var format = "sat-reproduction-plan/1"
  public var item: String
  public var scale: String
  public var results: String
  public var changes: [ReproductionPlan.Change]
  public var runs: [Run]
  /// One sentence for each data set that the runs need and that is missing.
  public var missingData: [String]

  public init(_ plan: ReproductionPlan, dataRoot: DataRoot) {
    item = plan.item.name
    scale = plan.scale.name.rawValue
    results = plan.folder
    changes = plan.changes
    runs =
      plan.item.measurement == .schedule
      ? []
      : plan.runs.map {
        Run(
          setting: $0.setting, method: $0.method, folder: $0.folder.path, epochs: $0.configuration.epochs,
          epochsDone: min($0.epochsDone, $0.configuration.epochs))
      }
    missingData = runs.isEmpty ? [] : plan.missingData(root: dataRoot)
  }

  public var text: String {
    var text = "\(item), scale \(scale); results go to \(results)\n"
    for change in changes {
      text += "\(change.setting): \(change.changes.isEmpty ? "the paper's setting" : change.changes.joined(separator: "; "))\n"
    }
    guard !runs.isEmpty else { return text + "nothing is trained\n" }
    let rows = runs.map { [$0.setting, $0.method, "\($0.epochsDone)/\($0.epochs)", $0.folder] }
    return text + TextTable([["setting", "method", "epochs", "folder"]] + rows, leftColumns: 4).description
      + missingData.map { "missing: \($0)\n" }.joined()
  }
}

/// The planned work of a reproduction, and the finished part of it.
public struct ReproductionListing: Encodable, Sendable {
  /// A run of the plan, with the number of finished epochs.
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
}

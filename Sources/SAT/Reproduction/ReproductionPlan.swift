internal import Foundation

/// The plan of a reproduction: its runs with their configurations and folders.
public struct ReproductionPlan: Sendable {
  /// The scale's changes of one of the paper's settings, in words.
  public struct Change: Codable, Sendable, Equatable {
    public var setting: String
    public var changes: [String]
  }

  /// A training run of the plan.
  public struct Run: Sendable {
    public let setting: String
    public let method: String
    /// The run's folder, shared by all items that need the same training at the same scale.
    public let folder: RunFolder
    public let configuration: TrainingConfiguration
    /// The full data set, before the scale reduces it.
    public let data: String
    let limits: ReproductionScale.Limits

    var name: String { "\(setting) \(method)" }

    /// The number of finished epochs in the folder.
    public var epochsDone: Int {
      guard FileManager.default.fileExists(atPath: folder.metricsPath),
        let text = try? String(contentsOfFile: folder.metricsPath, encoding: .utf8)
      else { return 0 }
      // A killed writer can leave a line without an end, which does not count.
      return text.utf8.count { $0 == UInt8(ascii: "\n") }
    }

    /// The forward and backward passes of training, in units of the MNIST network's pass of one image.
    var work: Double {
      let images = Double(limits.trainingImages ?? Self.trainingImages[data] ?? 50_000)
      return images * Double(configuration.epochs * (configuration.attack.steps + 1)) * (Self.cost[configuration.model.name] ?? 1)
    }

    private static let trainingImages = [
      "digits": 3600, "mnist": 54_000, "cifar10": 45_000, "cifar100": 45_000, "imagenette": 8500,
    ]
    /// Multiplications of a forward pass, in units of the MNIST network's 12 million, only to estimate the remaining time.
    private static let cost = ["mnist-cnn": 1.0, "prn20": 46, "wrn34-10": 435, "resnet34": 300]
  }

  public let item: ReproductionItem
  public let scale: ReproductionScale
  public let root: String
  public let runs: [Run]
  public let changes: [Change]
  public let folder: String

  /// Makes the plan of an item at a scale.
  ///
  /// An `epsilon` replaces the settings' own radius; the attack's step size changes in proportion.
  /// - Throws: `SATError` if a preset or a method is unknown, or epsilon is outside its range.
  public init(
    _ item: ReproductionItem, scale: ReproductionScale, root: String, seed: UInt64, epsilon: Fraction? = nil, execution: Execution
  ) throws(SATError) {
    self.item = item
    self.scale = scale
    self.root = root
    let variant =
      (epsilon.map { "-epsilon\($0.description.replacing("/", with: "over"))" } ?? "") + (seed == 0 ? "" : "-seed\(seed)")
      + (execution.precision == .fp32 ? "" : "-\(execution.precision.rawValue)")
    folder = "\(root)/\(item.name)-\(scale.name.rawValue)\(variant)"
    var runs: [Run] = []
    var changes: [Change] = []
    for setting in item.settings {
      for (i, method) in item.methods.enumerated() {
        let (paper, radius) = try Self.paperConfiguration(item, setting, method, epsilon)
        // A schedule needs no training, so every scale shows the paper's schedule.
        var (configuration, changed) = item.measurement == .schedule ? (paper, []) : scale.apply(to: paper, for: item.measurement)
        configuration.seed = seed
        configuration.execution = execution
        if i == 0 {
          let radii = epsilon.flatMap { $0 == radius ? nil : "epsilon \($0) instead of \(radius), steps in proportion" }
          changes.append(Change(setting: setting, changes: (radii.map { [$0] } ?? []) + changed))
        }
        runs.append(Self.run(item, setting, method, configuration, scale, scale.limits(paper), root: root, variant: variant))
      }
    }
    self.runs = runs
    self.changes = changes
  }

  /// Returns the paper's configuration of a run, with another radius if `epsilon` gives one, and the paper's radius.
  private static func paperConfiguration(
    _ item: ReproductionItem, _ setting: String, _ method: String, _ epsilon: Fraction?
  ) throws(SATError) -> (TrainingConfiguration, radius: Fraction) {
    var paper = try Presets.configuration(named: setting, method: method)
    if item.startsClean { paper.attack.randomStart = false }
    let radius = paper.threat.epsilon
    if let epsilon {
      _ = try ThreatModel(norm: paper.threat.norm, epsilon: epsilon.value)
      paper.threat.epsilon = epsilon
      paper.attack.stepSize = Fraction(paper.attack.stepSize.value * epsilon.value / radius.value)
    }
    return (paper, radius)
  }

  /// Returns a run in its folder, which items with the same training share. The scale may cut the data and track the smoothness.
  private static func run(
    _ item: ReproductionItem, _ setting: String, _ method: String, _ configuration: TrainingConfiguration,
    _ scale: ReproductionScale, _ limits: ReproductionScale.Limits, root: String, variant: String
  ) -> Run {
    let tracks = tracksSmoothness(item, setting, method)
    let suffix = (item.startsClean ? "-clean-start" : "") + (tracks && setting != trackedSetting ? "-tracked" : "") + variant
    let place = "\(root)/\(scale.name.rawValue)"
    var run = configuration
    if tracks { run.smoothness = .init(every: 1, samples: limits.smoothnessImages) }
    if let images = limits.trainingImages { run.data = "\(place)/data/\(configuration.data)-\(images).safetensors" }
    return Run(
      setting: setting, method: method, folder: RunFolder("\(place)/\(setting)-\(method)\(suffix)"), configuration: run,
      data: configuration.data, limits: limits)
  }

  /// Fig. 4's setting. Every item tracks it in training, so that all items share its runs.
  private static let trackedSetting = "cifar10-prn20"

  private static func tracksSmoothness(_ item: ReproductionItem, _ setting: String, _ method: String) -> Bool {
    item.measurement == .smoothness
      || (setting == trackedSetting && !item.startsClean && ["at", "h-sat", "p-sat"].contains(method))
  }
}

extension ReproductionPlan {
  /// Returns one sentence for each data set that the runs need and that is not there.
  ///
  /// A scale that takes some of the images is content with those that are there; the paper's scale needs all of them.
  func missingData(root: DataRoot) -> [String] {
    Set(runs.map(\.data)).sorted().compactMap { name in
      let found = DataAvailability(of: DataSource(name), root: root)
      for state in [found.training, found.test] { if case .missing(let reason) = state { return reason } }
      guard scale.name == .paper, !found.isWhole else { return nil }
      return "\(name) is incomplete under \(root.path) (\(found.summary)), and the scale paper needs all of it; get it with "
        + "`sat data fetch \(name)`, or choose --scale small"
    }
  }
}

internal import Foundation

/// The JSON document of `sat compare`, `sat-comparison/1`.
///
/// It compares a run with a reference run of the same configuration, such as a run of `models/reference_run.py`.
public struct RunComparison: VersionedDocument {
  public static let format = "sat-comparison/1"

  /// Two values of one quantity.
  public struct Pair: Codable, Sendable, Equatable {
    public var run: Double
    public var reference: Double

    /// The difference |run − reference| relative to the reference, or to 1 if the reference is smaller.
    public var difference: Double { abs(run - reference) / max(1, abs(reference)) }
  }

  /// The first step or epoch at which the runs differ.
  public struct FirstDifference: Codable, Sendable, Equatable {
    /// The 0-based step or epoch.
    public var at: Int
    /// "loss" or "gradientNorm".
    public var quantity: String
    public var run: Double
    public var reference: Double
  }

  /// The updates of the weights that both logs hold.
  public struct Steps: Codable, Sendable, Equatable {
    public var compared: Int
    /// The first update that differs by more than the tolerance.
    public var firstDifference: FirstDifference?
    /// The largest relative differences of losses and of gradient norms.
    public var largestLossDifference: Double
    public var largestGradientNormDifference: Double
  }

  /// The metrics of one epoch in both runs.
  public struct Epoch: Codable, Sendable, Equatable {
    public var epoch: Int
    public var loss: Pair
    public var accuracy: Pair
    /// Validation accuracy; nil unless both runs validated after this epoch.
    public var clean: Pair?
    public var robust: Pair?
    public var seconds: Pair
  }

  /// A final proportion of both runs, with Wilson's 95 % intervals.
  public struct Figure: Codable, Sendable, Equatable {
    public var run: EvaluationDocument.Proportion
    public var reference: EvaluationDocument.Proportion
    /// True if each proportion lies in the interval of the other.
    public var agrees: Bool

    init(_ a: EpochMetrics.Validation, _ b: EpochMetrics.Validation, _ value: KeyPath<EpochMetrics.Validation, Double>) {
      func proportion(_ v: EpochMetrics.Validation) -> EvaluationDocument.Proportion {
        .init(Int((v[keyPath: value] * Double(v.samples)).rounded()), of: v.samples)
      }
      run = proportion(a)
      reference = proportion(b)
      func holds(_ a: EvaluationDocument.Proportion, _ b: EvaluationDocument.Proportion) -> Bool {
        a.interval[0] <= b.accuracy && b.accuracy <= a.interval[1]
      }
      agrees = holds(run, reference) && holds(reference, run)
    }
  }

  /// The validation after the last epoch that both runs validated.
  public struct Final: Codable, Sendable, Equatable {
    public var epoch: Int
    public var clean: Figure
    public var robust: Figure
  }

  public private(set) var format: String = Self.format
  public var run: String
  public var reference: String
  public var tolerance: Double
  /// The differences of the configurations, as `key was A, is B`; A is the reference's value and B the run's.
  ///
  /// Device and threads, and the times of measurements and checkpoints, do not count.
  public var configurationDifferences: [String]
  /// The reason why neither run is a reference for the other; nil if both have the same configuration.
  public var warning: String?
  /// The comparison of steps; nil if a run has no steps.jsonl.
  public var steps: Steps?
  /// The first epoch whose mean loss differs by more than the tolerance.
  public var firstDifferingEpoch: FirstDifference?
  public var epochs: [Epoch]
  /// The final validation; nil if no epoch was validated in both runs.
  public var final: Final?

  /// Reads two run folders. The tolerance is relative to the larger of the reference's value and 1.
  ///
  /// - Throws: An error that names a folder without metrics, or an invalid line.
  public init(run: String, reference: String, tolerance: Double) throws {
    self.run = run
    self.reference = reference
    self.tolerance = tolerance
    let (ours, theirs) = (try Log(run), try Log(reference))
    if let a = ours.configuration, let b = theirs.configuration {
      configurationDifferences = try Self.differences(a, from: b)
      let count = configurationDifferences.count
      let settings = count == 1 ? "one setting differs" : "\(count) settings differ"
      warning =
        count == 0
        ? nil : "the runs have different configurations (\(settings)). Equal numbers prove nothing"
    } else {
      configurationDifferences = []
      let bare = ours.configuration == nil ? run : reference
      warning = "\(bare) has no config.yaml, so the configurations may differ. Equal numbers then prove nothing"
    }
    let pairs = zip(ours.epochs, theirs.epochs)
    epochs = pairs.map { a, b in
      func pair(_ value: (EpochMetrics) -> Double?) -> Pair? {
        value(a).flatMap { ours in value(b).map { Pair(run: ours, reference: $0) } }
      }
      return Epoch(
        epoch: a.epoch, loss: Pair(run: a.train.loss, reference: b.train.loss),
        accuracy: Pair(run: a.train.accuracy, reference: b.train.accuracy), clean: pair(\.validation?.clean),
        robust: pair(\.validation?.robust), seconds: Pair(run: a.seconds, reference: b.seconds))
    }
    firstDifferingEpoch = epochs.first { $0.loss.difference > tolerance }.map {
      FirstDifference(at: $0.epoch, quantity: "loss", run: $0.loss.run, reference: $0.loss.reference)
    }
    steps = ours.steps.flatMap { a in theirs.steps.map { b in Self.compare(a, b, tolerance) } }
    final =
      pairs.reversed().lazy.compactMap { a, b in
        guard let x = a.validation, let y = b.validation else { return nil }
        return Final(epoch: a.epoch, clean: Figure(x, y, \.clean), robust: Figure(x, y, \.robust))
      }.first
  }

  private static func differences(_ ours: TrainingConfiguration, from theirs: TrainingConfiguration) throws(SATError) -> [String] {
    var comparable = ours
    comparable.checkpoints = theirs.checkpoints
    comparable.logSteps = theirs.logSteps
    comparable.validation = theirs.validation
    comparable.smoothness = theirs.smoothness
    comparable.execution = theirs.execution
    comparable.execution.precision = ours.execution.precision
    comparable.execution.attackPrecision = ours.execution.attackPrecision
    return try ConfigurationFile.differences(theirs, comparable)
  }

  private static func compare(_ ours: [StepMetrics], _ theirs: [StepMetrics], _ tolerance: Double) -> Steps {
    var result = Steps(
      compared: min(ours.count, theirs.count), firstDifference: nil, largestLossDifference: 0, largestGradientNormDifference: 0)
    for (a, b) in zip(ours, theirs) {
      let loss = Pair(run: a.loss, reference: b.loss)
      let norm = Pair(run: a.gradientNorm, reference: b.gradientNorm)
      result.largestLossDifference = max(result.largestLossDifference, loss.difference)
      result.largestGradientNormDifference = max(result.largestGradientNormDifference, norm.difference)
      for (name, pair) in [("loss", loss), ("gradientNorm", norm)]
      where pair.difference > tolerance && result.firstDifference == nil {
        result.firstDifference = FirstDifference(at: a.step, quantity: name, run: pair.run, reference: pair.reference)
      }
    }
    return result
  }

  /// The files of a run's folder that a comparison reads.
  private struct Log {
    let epochs: [EpochMetrics]
    let steps: [StepMetrics]?
    let configuration: TrainingConfiguration?

    init(_ path: String) throws {
      let folder = RunFolder(path)
      let hasMetrics = FileManager.default.fileExists(atPath: folder.metricsPath)
      let hasSteps = FileManager.default.fileExists(atPath: folder.stepsPath)
      guard hasMetrics || hasSteps else {
        throw SATError(
          "\(path) holds neither metrics.jsonl nor steps.jsonl; expected the folder of a run or of models/reference_run.py")
      }
      epochs = hasMetrics ? try EpochMetrics.read(from: folder.metricsPath, isStrict: true) : []
      steps = hasSteps ? try StepMetrics.read(from: folder.stepsPath) : nil
      configuration = folder.exists ? try ConfigurationFile.read(folder.configurationPath) : nil
    }
  }
}

internal import Foundation
internal import SwiftTorch

/// A run beside a reference run of the same configuration, such as that of `models/reference_run.py`: the JSON document of
/// `sat compare`, `sat-comparison/1`.
public struct RunComparison: Encodable, Sendable {
  /// Two values of one quantity.
  public struct Pair: Encodable, Sendable, Equatable {
    public var run: Double
    public var reference: Double

    /// |run − reference| as a part of the reference, or of 1 where that is smaller.
    public var difference: Double { abs(run - reference) / max(1, abs(reference)) }
  }

  /// Where the two part.
  public struct Parting: Encodable, Sendable {
    /// 0-based step or epoch.
    public var at: Int
    /// "loss" or "gradientNorm".
    public var quantity: String
    public var run: Double
    public var reference: Double
  }

  /// The updates of the weights that both logs hold.
  public struct Steps: Encodable, Sendable {
    public var compared: Int
    /// The first that differs by more than the tolerance.
    public var firstDifference: Parting?
    /// The largest difference of the losses, and of the gradients' norms.
    public var largestLossDifference: Double
    public var largestGradientNormDifference: Double
  }

  public struct Epoch: Encodable, Sendable {
    public var epoch: Int
    public var loss: Pair
    public var accuracy: Pair
    /// Where both were validated.
    public var clean: Pair?
    public var robust: Pair?
    public var seconds: Pair
  }

  /// A proportion at the end of both, with Wilson's 95 % intervals.
  public struct Figure: Encodable, Sendable {
    public var run: EvaluationReport.Proportion
    public var reference: EvaluationReport.Proportion
    /// Whether each lies in the interval of the other.
    public var agrees: Bool

    init(_ a: EpochMetrics.Validation, _ b: EpochMetrics.Validation, _ value: KeyPath<EpochMetrics.Validation, Double>) {
      func proportion(_ v: EpochMetrics.Validation) -> EvaluationReport.Proportion {
        .init(Int((v[keyPath: value] * Double(v.samples)).rounded()), of: v.samples)
      }
      (run, reference) = (proportion(a), proportion(b))
      func holds(_ a: EvaluationReport.Proportion, _ b: EvaluationReport.Proportion) -> Bool {
        a.interval[0] <= b.accuracy && b.accuracy <= a.interval[1]
      }
      agrees = holds(run, reference) && holds(reference, run)
    }
  }

  /// Validation after the last epoch that both have.
  public struct Final: Encodable, Sendable {
    public var epoch: Int
    public var clean: Figure
    public var robust: Figure
  }

  public var format = "sat-comparison/1"
  public var run: String
  public var reference: String
  public var tolerance: Double
  /// What the configurations have in different ways, as `key was A, is B` of the reference and the run: everything but where they
  /// computed, and what was measured and saved when.
  public var configurationDifferences: [String]
  /// Why figures that agree do not mean that one is a reference for the other; nil where both have one configuration.
  public var warning: String?
  /// Nil where one of them has no steps.jsonl.
  public var steps: Steps?
  /// The first epoch whose mean loss differs by more than the tolerance.
  public var firstDifferingEpoch: Parting?
  public var epochs: [Epoch]
  /// Nil where no epoch of both was validated.
  public var final: Final?

  /// Reads two run folders.
  ///
  /// - Parameter tolerance: of a loss or a norm, relative to the reference's value or to 1, whichever is larger.
  /// - Throws: a sentence naming a folder without metrics, or a line that is not one.
  public init(run: String, reference: String, tolerance: Double) throws {
    (self.run, self.reference, self.tolerance) = (run, reference, tolerance)
    let (ours, theirs) = (try Log(run), try Log(reference))
    if let a = ours.configuration, let b = theirs.configuration {
      configurationDifferences = try Self.differences(a, from: b)
      if !configurationDifferences.isEmpty {
        let count = configurationDifferences.count
        let settings = count == 1 ? "one setting differs" : "\(count) settings differ"
        warning = "these are runs of different configurations (\(settings)), so neither is a reference for the other, whatever agrees"
      }
    } else {
      configurationDifferences = []
      let bare = ours.configuration == nil ? run : reference
      warning = "\(bare) has no config.yaml, so whether both are runs of one configuration is not known, whatever agrees"
    }
    epochs = zip(ours.epochs, theirs.epochs).map { a, b in
      let validations = a.validation.flatMap { x in b.validation.map { (x, $0) } }
      return Epoch(
        epoch: a.epoch, loss: Pair(run: a.train.loss, reference: b.train.loss),
        accuracy: Pair(run: a.train.accuracy, reference: b.train.accuracy),
        clean: validations.map { Pair(run: $0.clean, reference: $1.clean) },
        robust: validations.map { Pair(run: $0.robust, reference: $1.robust) }, seconds: Pair(run: a.seconds, reference: b.seconds))
    }
    firstDifferingEpoch = epochs.first { $0.loss.difference > tolerance }.map {
      Parting(at: $0.epoch, quantity: "loss", run: $0.loss.run, reference: $0.loss.reference)
    }
    steps = ours.steps.flatMap { a in theirs.steps.map { b in Self.compare(a, b, tolerance) } }
    final = zip(ours.epochs, theirs.epochs).reversed().lazy.compactMap { a, b in
      guard let x = a.validation, let y = b.validation else { return nil }
      return Final(epoch: a.epoch, clean: Figure(x, y, \.clean), robust: Figure(x, y, \.robust))
    }.first
  }

  private static func differences(
    _ ours: TrainingConfiguration, from theirs: TrainingConfiguration
  ) throws(SATError) -> [String] {
    var comparable = ours
    (comparable.checkpoints, comparable.logSteps) = (theirs.checkpoints, theirs.logSteps)
    (comparable.validation, comparable.smoothness) = (theirs.validation, theirs.smoothness)
    comparable.execution = theirs.execution
    (comparable.execution.precision, comparable.execution.attackPrecision) = (ours.execution.precision, ours.execution.attackPrecision)
    return try ConfigurationFile.differences(theirs, comparable)
  }

  private static func compare(_ ours: [Log.Step], _ theirs: [Log.Step], _ tolerance: Double) -> Steps {
    var result = Steps(
      compared: min(ours.count, theirs.count), firstDifference: nil, largestLossDifference: 0, largestGradientNormDifference: 0)
    for (a, b) in zip(ours, theirs) {
      let loss = Pair(run: a.loss, reference: b.loss)
      let norm = Pair(run: a.gradientNorm, reference: b.gradientNorm)
      result.largestLossDifference = max(result.largestLossDifference, loss.difference)
      result.largestGradientNormDifference = max(result.largestGradientNormDifference, norm.difference)
      guard result.firstDifference == nil else { continue }
      for (name, pair) in [("loss", loss), ("gradientNorm", norm)] where pair.difference > tolerance && result.firstDifference == nil {
        result.firstDifference = Parting(at: a.step, quantity: name, run: pair.run, reference: pair.reference)
      }
    }
    return result
  }

  /// What a run's folder says, as far as a comparison reads it.
  private struct Log {
    struct Epoch: Decodable {
      var epoch: Int
      var train: EpochMetrics.Train
      var validation: EpochMetrics.Validation?
      var seconds: Double
    }

    struct Step: Decodable {
      var step: Int
      var loss: Double
      var gradientNorm: Double
    }

    let epochs: [Epoch]
    let steps: [Step]?
    let configuration: TrainingConfiguration?

    init(_ path: String) throws {
      let folder = RunFolder(path)
      let files = FileManager.default
      guard files.fileExists(atPath: folder.metricsPath) || files.fileExists(atPath: folder.stepsPath) else {
        throw SATError("\(path) holds neither metrics.jsonl nor steps.jsonl; expected the folder of a run or of models/reference_run.py")
      }
      epochs = try Self.lines(folder.metricsPath) ?? []
      steps = try Self.lines(folder.stepsPath)
      configuration = folder.exists ? try ConfigurationFile.read(folder.configurationPath) : nil
    }

    private static func lines<Line: Decodable>(_ path: String) throws -> [Line]? {
      guard FileManager.default.fileExists(atPath: path) else { return nil }
      let text = try FileBytes.read(path, expecting: "a run's log")
      return try text.split(separator: UInt8(ascii: "\n")).enumerated().map { i, line in
        do { return try JSONDecoder().decode(Line.self, from: Data(line)) } catch {
          throw SATError("\(path), line \(i + 1), is not a line of a run's log; restore the file, or remove the line if it is cut off")
        }
      }
    }
  }
}

internal import Foundation
internal import SwiftTorch

/// The logs of a run: `metrics.jsonl`, TensorBoard's events and, on request, `steps.jsonl`.
///
/// The logs follow the checkpoints. A resumed run drops entries after its checkpoint, because it will write them again.
final class RunLogs {
  private var metrics: GrowingFile
  private var lines: [UInt8]
  private let events: TensorBoardLog
  private let steps: GrowingFile?

  /// - Parameters:
  ///   - history: the metrics of the finished epochs.
  ///   - stepsDone: the number of updates in the checkpoint; nil for a run without `steps.jsonl`.
  /// - Throws: `SATError` when a file cannot be written.
  init(_ folder: RunFolder, history: [EpochMetrics], stepsDone: Int?) throws {
    lines = try history.flatMap(Self.line)
    metrics = try GrowingFile(folder.metricsPath, contents: lines)
    events = try TensorBoardLog(folder: folder.path, history: history)
    steps = try stepsDone.map { try GrowingFile(folder.stepsPath, contents: Self.steps(in: folder, before: $0)) }
  }

  func append(_ epoch: EpochMetrics) throws {
    let line = try Self.line(epoch)
    lines += line
    if metrics.isGone { metrics = try metrics.again(contents: lines) } else { try metrics.append(line) }
    try events.append(epoch)
  }

  func append(_ step: StepMetrics) throws { try steps?.append(Self.line(step)) }

  private static func line(_ value: some Encodable) throws -> [UInt8] { Array(try JSONText.line(value).utf8) }

  /// Returns the lines of an older `steps.jsonl` up to the checkpoint.
  private static func steps(in folder: RunFolder, before end: Int) throws -> [UInt8] {
    guard end > 0, FileManager.default.fileExists(atPath: folder.stepsPath) else { return [] }
    let text = try FileBytes.read(folder.stepsPath, expecting: "a run's steps")
    // The last line of a killed run may be incomplete; its step is not in the checkpoint.
    let kept = text.split(separator: UInt8(ascii: "\n")).prefix { line in
      ((try? JSONText.decode(StepMetrics.self, from: line))?.step).map { $0 < end } ?? false
    }
    return kept.flatMap { $0 + [UInt8(ascii: "\n")] }
  }
}

internal import Foundation
internal import SwiftTorch

/// The logs of a run: `metrics.jsonl`, TensorBoard's events and, on request, `steps.jsonl`.
///
/// A resumed run drops entries after its checkpoint, because it will write them again.
final class RunLogs {
  private let folder: RunFolder
  private var metrics: GrowingFile
  private var lines: [UInt8]
  private let events: TensorBoardLog
  private let steps: GrowingFile?

  /// Writes the logs of the finished epochs and, unless `stepsDone` is nil, of that many updates in the checkpoint.
  init(_ folder: RunFolder, history: [EpochMetrics], stepsDone: Int?) throws {
    self.folder = folder
    lines = try history.flatMap(Self.line)
    metrics = try GrowingFile(folder.metricsPath, contents: lines)
    events = try TensorBoardLog(folder: folder.path, history: history)
    steps = try stepsDone.map { try GrowingFile(folder.stepsPath, contents: Self.steps(in: folder, before: $0)) }
  }

  func append(_ epoch: EpochMetrics) throws {
    let line = try Self.line(epoch)
    lines += line
    if metrics.isGone { metrics = try GrowingFile(folder.metricsPath, contents: lines) } else { try metrics.append(line) }
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

/// A log file that others may read during a run: written whole once, then only appended to.
final class GrowingFile {
  private let path: String
  private let handle: FileHandle

  /// True if the file was deleted or replaced, so appended lines would be lost.
  var isGone: Bool {
    var (own, there) = (stat(), stat())
    return fstat(handle.fileDescriptor, &own) != 0 || stat(path, &there) != 0 || own.st_ino != there.st_ino
  }

  /// Writes the contents so far and replaces an older file of that name; throws `SATError` when it cannot be written.
  init(_ path: String, contents: [UInt8]) throws {
    try AtomicFile.write(contents, to: path)
    guard let handle = FileHandle(forWritingAtPath: path) else {
      throw SATError("\(path) cannot be opened again after its first write; leave its folder unchanged during a run, and run again")
    }
    self.path = path
    self.handle = handle
    try handle.seekToEnd()
  }

  deinit { try? handle.close() }

  /// Appends to the file; throws `SATError` when it cannot be written.
  func append(_ bytes: [UInt8]) throws {
    do { try handle.write(contentsOf: Data(bytes)) } catch {
      throw SATError(
        "\(path) cannot be written (\(SystemError.reason(error))); expected room on the disk; free some and go on with --resume")
    }
  }
}

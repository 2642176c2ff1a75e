internal import Foundation
internal import SwiftTorch

/// The folder of a run: `config.yaml`, `metrics.jsonl`, `steps.jsonl`, TensorBoard's events, and the checkpoints `last` and `best`.
///
/// A checkpoint is a folder under `checkpoints/`; `last` and `best` are links to checkpoints. The run writes a checkpoint under a
/// temporary name and then moves the links atomically. So a run that is killed at any moment leaves complete checkpoints.
public struct RunFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  /// The name of a checkpoint: the best on validation, or the last.
  public enum Checkpoint: String, Sendable, CaseIterable { case best, last }

  public var configurationPath: String { "\(path)/config.yaml" }
  public var metricsPath: String { "\(path)/metrics.jsonl" }
  public var stepsPath: String { "\(path)/steps.jsonl" }
  private var checkpointsPath: String { "\(path)/checkpoints" }

  public func folder(of checkpoint: Checkpoint) -> String { "\(path)/\(checkpoint.rawValue)" }

  /// True if the link leads to a checkpoint.
  func has(_ checkpoint: Checkpoint) -> Bool { FileManager.default.fileExists(atPath: folder(of: checkpoint)) }

  /// True if there is a checkpoint to resume from.
  public var hasLastCheckpoint: Bool { has(.last) }

  /// True if a run has started in this folder.
  public var exists: Bool { FileManager.default.fileExists(atPath: configurationPath) }

  /// True if a last checkpoint is there to resume from; throws `SATError` when it is missing, but metrics show that it existed.
  var hasCheckpoint: Bool {
    get throws(SATError) {
      if has(.last) { return true }
      let recorded = (try? FileManager.default.attributesOfItem(atPath: metricsPath)[.size] as? Int) ?? 0
      guard recorded == 0 else {
        throw SATError("\(path) has metrics but no last checkpoint to resume from; put the checkpoints back or start another run")
      }
      return false
    }
  }

  /// Creates the folder; throws `SATError` when it cannot be created or is not writable.
  public func create() throws(SATError) {
    for folder in [path, checkpointsPath] { try OutputFolder.create(folder, advice: "choose another run folder with --run") }
    guard FileManager.default.isWritableFile(atPath: path), FileManager.default.isWritableFile(atPath: checkpointsPath) else {
      throw SATError("the run folder \(path) is not writable; choose another with --run")
    }
  }

  /// Writes a checkpoint, whose folder `body` fills, and points the given links at it.
  ///
  /// The link `last` moves at the end, because a run resumes from it: a run killed earlier saves this checkpoint again.
  func save(_ name: String, as links: [Checkpoint], _ body: (String) throws -> Void) throws {
    let files = FileManager.default
    guard isThere else { throw gone }
    // A killed run may have left a complete checkpoint with this name, and a link may point to it.
    var name = name
    while files.fileExists(atPath: "\(checkpointsPath)/\(name)") { name += "-again" }
    let partial = "\(checkpointsPath)/.\(name).partial"
    try? files.removeItem(atPath: partial)
    do {
      try files.createDirectory(atPath: partial, withIntermediateDirectories: false)
      try body(partial)
      try files.moveItem(atPath: partial, toPath: "\(checkpointsPath)/\(name)")
      for link in [Checkpoint.best, .last] where links.contains(link) { try point(link, at: "checkpoints/\(name)") }
    } catch {
      try? files.removeItem(atPath: partial)
      guard isThere else { throw gone }
      if error is SATError || error is TorchError { throw error }
      throw SATError("a checkpoint cannot be written to \(path) (\(SystemError.reason(error))); the earlier checkpoints are intact")
    }
    removeUnreferenced()
  }

  private var isThere: Bool { exists && FileManager.default.fileExists(atPath: checkpointsPath) }

  private var gone: SATError {
    SATError(
      "the run folder \(path) is gone, deleted or moved during the run, so the run cannot write its checkpoint; "
        + "put the folder back and use --resume, or start another run")
  }

  private func point(_ link: Checkpoint, at target: String) throws {
    let fresh = "\(path)/.\(link.rawValue).partial"
    try? FileManager.default.removeItem(atPath: fresh)
    try FileManager.default.createSymbolicLink(atPath: fresh, withDestinationPath: target)
    // FileManager does not replace an existing file; rename(2) replaces a link atomically.
    guard rename(fresh, folder(of: link)) == 0 else {
      throw SATError("\(folder(of: link)) cannot be replaced: \(SystemError.reason(errno))")
    }
  }

  /// Removes incomplete files and checkpoints that a killed run left.
  func removeLeftovers() {
    FileManager.default.removeContents(of: path) { $0.hasPrefix(".") && $0.contains("partial") }
    removeUnreferenced()
  }

  private func removeUnreferenced() {
    let files = FileManager.default
    let used = Set(Checkpoint.allCases.compactMap { try? files.destinationOfSymbolicLink(atPath: folder(of: $0)) })
    files.removeContents(of: checkpointsPath) { !used.contains("checkpoints/\($0)") }
  }
}

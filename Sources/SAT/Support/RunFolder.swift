internal import Foundation
internal import SwiftTorch

/// The folder of a run: `config.yaml`, `metrics.jsonl`, `steps.jsonl`, TensorBoard's events, and the checkpoints `last` and `best`.
///
/// A checkpoint is a folder under `checkpoints/`, written whole under another name first; `last` and `best` are links to one.
/// Changing a link is atomic, so that a run killed at any moment leaves checkpoints that are whole.
public struct RunFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  public enum Checkpoint: String, Sendable, CaseIterable { case best, last }

  public var configurationPath: String { "\(path)/config.yaml" }
  public var metricsPath: String { "\(path)/metrics.jsonl" }
  public var stepsPath: String { "\(path)/steps.jsonl" }
  private var checkpointsPath: String { "\(path)/checkpoints" }

  public func folder(of checkpoint: Checkpoint) -> String { "\(path)/\(checkpoint.rawValue)" }

  /// Whether there is a whole checkpoint behind a link.
  func has(_ checkpoint: Checkpoint) -> Bool { FileManager.default.fileExists(atPath: folder(of: checkpoint)) }

  /// Whether a run has begun here.
  public var exists: Bool { FileManager.default.fileExists(atPath: configurationPath) }

  /// Whether there is a last checkpoint to go on from.
  ///
  /// - Throws: `SATError` when there was one and it is gone.
  var hasCheckpoint: Bool {
    get throws(SATError) {
      if has(.last) { return true }
      let recorded = (try? FileManager.default.attributesOfItem(atPath: metricsPath)[.size] as? Int) ?? 0
      guard recorded == 0 else {
        throw SATError("\(path) has no last checkpoint to resume from, though it has metrics; put the checkpoints back or start another run")
      }
      return false
    }
  }

  /// Makes the folder.
  ///
  /// - Throws: `SATError` when it cannot be made or written.
  public func create() throws(SATError) {
    for folder in [path, checkpointsPath] { try OutputFolder.create(folder, advice: "choose another run folder with --run") }
    guard FileManager.default.isWritableFile(atPath: path), FileManager.default.isWritableFile(atPath: checkpointsPath) else {
      throw SATError("the run folder \(path) is not writable; choose another with --run")
    }
  }

  /// Writes a checkpoint through `body`, which gets the folder to fill, and points the given links at it.
  ///
  /// `last`, which a run is resumed from, is the last to move: what was killed before that is done once more.
  func save(_ name: String, as links: [Checkpoint], _ body: (String) throws -> Void) throws {
    let files = FileManager.default
    guard isThere else { throw gone }
    // A killed run may have left a whole checkpoint of this name that a link points to.
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
      throw SATError("a checkpoint cannot be written to \(path) (\(SystemError.reason(error))); the ones before it are intact")
    }
    removeUnreferenced()
  }

  private var isThere: Bool { exists && FileManager.default.fileExists(atPath: checkpointsPath) }

  private var gone: SATError {
    SATError(
      "the run folder \(path) is gone, so its checkpoint cannot be written; it was deleted or moved while the run went on, so put it back "
        + "and go on with --resume, or start another run")
  }

  private func point(_ link: Checkpoint, at target: String) throws {
    let fresh = "\(path)/.\(link.rawValue).partial"
    try? FileManager.default.removeItem(atPath: fresh)
    try FileManager.default.createSymbolicLink(atPath: fresh, withDestinationPath: target)
    // FileManager will not move onto something that exists; rename(2) replaces a link atomically.
    guard rename(fresh, folder(of: link)) == 0 else {
      throw SATError("\(folder(of: link)) cannot be replaced: \(SystemError.reason(errno))")
    }
  }

  /// Removes what a killed run left half-written.
  func removeLeftovers() {
    let files = FileManager.default
    for name in (try? files.contentsOfDirectory(atPath: path)) ?? [] where name.hasPrefix(".") && name.contains("partial") {
      try? files.removeItem(atPath: "\(path)/\(name)")
    }
    removeUnreferenced()
  }

  private func removeUnreferenced() {
    let files = FileManager.default
    let used = Set(Checkpoint.allCases.compactMap { try? files.destinationOfSymbolicLink(atPath: folder(of: $0)) })
    for name in (try? files.contentsOfDirectory(atPath: checkpointsPath)) ?? [] where !used.contains("checkpoints/\(name)") {
      try? files.removeItem(atPath: "\(checkpointsPath)/\(name)")
    }
  }
}

internal import Foundation
internal import SwiftTorch

/// A file that saves the state of work, so that killed work can continue.
///
/// It is a safetensors file with JSON in its metadata. One process at a time holds it. Every write is complete or changes nothing.
/// The reader refuses a file of other work, or a file that is not a state, and leaves it unchanged.
final class StateFile {
  /// The kind of work that a state belongs to.
  struct Kind: Sendable {
    /// The name of the layout with its version.
    var format: String
    /// The work with its article, such as "an evaluation".
    var work: String
  }

  private enum Key {
    static let format = "sat.format"
    static let identity = "sat.identity"
    static let state = "sat.state"
  }

  let path: String
  private let kind: Kind
  private let identity: StateIdentity
  /// The path that the user named, for errors: the file, or its folder.
  private let place: (name: String, word: String)
  /// The shortest time between two writes; zero allows every write.
  private let interval: Duration
  private let lock: PathLock
  private let clock = ContinuousClock()
  private var lastWrite: ContinuousClock.Instant
  private var cost = Duration.zero

  /// Holds the state at a place: a folder, made if needed, or an existing file. Early versions kept some states in files.
  ///
  /// - Throws: `SATError` when another process holds the place, or the folder cannot be made; `TorchError` when the file could not
  ///   be written.
  convenience init(at place: String, _ kind: Kind, identity: StateIdentity, interval: Duration = .seconds(1)) throws {
    if Self.path(at: place) == place {
      try self.init(place, kind, identity: identity, interval: interval)
    } else {
      try self.init(inFolder: place, kind, identity: identity, interval: interval)
    }
  }

  /// Holds the state's folder, made if needed; throws `SATError` when another process holds it, or it cannot be made.
  private convenience init(inFolder folder: String, _ kind: Kind, identity: StateIdentity, interval: Duration = .seconds(1)) throws
  {
    if !FileManager.default.fileExists(atPath: folder) {
      try OutputFolder.create(folder, advice: "choose another folder for the state")
    } else if !FileManager.default.isFolder(folder) {
      throw SATError("\(folder) is a file; expected a folder for the state of \(kind.work)")
    }
    let lock = try PathLock(folder: folder, use: "keeping its state in")
    try self.init(Self.path(at: folder), kind, identity, interval, lock, (folder, "folder"))
  }

  /// Holds a file of any name; throws `SATError` when another process holds it, `TorchError` when it could not be written.
  convenience init(_ path: String, _ kind: Kind, identity: StateIdentity, interval: Duration = .seconds(1)) throws {
    try self.init(path, kind, identity, interval, PathLock(file: path, use: "keeping its state in"), (path, "file"))
  }

  private init(
    _ path: String, _ kind: Kind, _ identity: StateIdentity, _ interval: Duration, _ lock: PathLock,
    _ place: (name: String, word: String)
  ) throws {
    self.path = path
    self.kind = kind
    self.identity = identity
    self.interval = interval
    self.lock = lock
    self.place = place
    lastWrite = clock.now
    try AtomicFile.check(path)
  }

  /// Returns the path of the state file at a place: the place itself if it is a file, else a file in that folder.
  static func path(at place: String) -> String {
    let manager = FileManager.default
    return manager.fileExists(atPath: place) && !manager.isFolder(place) ? place : "\(place)/state.safetensors"
  }

  /// Reads the state; nil if there is no file.
  ///
  /// - Throws: `SATError` for other work or no state of this kind and version, `TorchError` for a file that cannot be read.
  func read<Contents: Decodable>(_ type: Contents.Type) throws -> (contents: Contents, tensors: SafeTensors)? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let found = try FileContents.read(path, expecting: "the state of \(kind.work)")
    guard let file = try? SafeTensors.decode(found), file.metadata[Key.format] == kind.format,
      let theirs: StateIdentity = decoded(file.metadata[Key.identity]), let contents: Contents = decoded(file.metadata[Key.state])
    else { throw unusable }
    if let (aspect, was, expected) = identity.difference(from: theirs) {
      throw SATError(
        "\(place.name) holds the state of \(kind.work) with another \(aspect) (\(was), not \(expected)); \(remedy)")
    }
    return (contents, file)
  }

  /// The error for a file that is not a state of this kind.
  var unusable: SATError { SATError("\(path) is not the state of \(kind.work) of this version of sat; \(remedy)") }

  private var remedy: String { "choose another \(place.word) for the state, or delete this one" }

  private func decoded<Value: Decodable>(_ text: String?) -> Value? {
    text.flatMap { try? JSONDecoder().decode(Value.self, from: Data($0.utf8)) }
  }

  /// True if the last write was long enough ago: the interval, or twenty times as long as a write takes.
  var isDue: Bool { interval == .zero || clock.now - lastWrite >= max(interval, cost * 20) }

  /// Writes the whole file, or leaves the old one.
  func write(_ contents: some Encodable, tensors: NamedTensors = []) throws(TorchError) {
    let start = clock.now
    guard let state = try? JSONEncoder().encode(contents), let identity = try? JSONEncoder().encode(identity) else {
      throw TorchError(.value, "\(path): the state holds a number that JSON has no form for")
    }
    let texts = [Key.identity: identity, Key.state: state].mapValues { String(decoding: $0, as: UTF8.self) }
    try SafeTensors(tensors: tensors, metadata: texts.merging([Key.format: kind.format]) { $1 }).write(to: path)
    lastWrite = clock.now
    cost = lastWrite - start
  }
}

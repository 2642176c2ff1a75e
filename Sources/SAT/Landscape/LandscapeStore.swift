internal import Foundation
internal import SwiftTorch

/// The points of a landscape that are done, in a file, so that a run that was killed goes on from there.
public final class LandscapeStore {
  private struct Contents: Codable {
    var format = "sat-landscape-state/1"
    /// What the values depend on.
    var identity: [String: String]
    var points: [Int]
    var values: [LossLandscape.Value]
  }

  private let path: String?
  private let identity: [String: String]
  public private(set) var values: [Int: LossLandscape.Value] = [:]
  private let clock = ContinuousClock()
  private var written: ContinuousClock.Instant

  /// - Parameters:
  ///   - path: of the file; nil keeps the values in memory only.
  ///   - identity: a file of another one is refused.
  /// - Throws: a sentence when the file is there and belongs to something else.
  public init(_ path: String?, identity: [String: String]) throws {
    (self.path, self.identity) = (path, identity)
    written = clock.now
    guard let path, FileManager.default.fileExists(atPath: path) else { return }
    let bytes = try FileBytes.read(path, expecting: "the state of a landscape")
    guard let contents = try? JSONDecoder().decode(Contents.self, from: Data(bytes)), contents.points.count == contents.values.count else {
      throw SATError("\(path) is not the state of a landscape; name another file with --state")
    }
    let differing = identity.keys.filter { contents.identity[$0] != identity[$0] }.sorted()
    guard differing.isEmpty else {
      let was = differing.map { "\($0) was \(contents.identity[$0] ?? "absent"), is \(identity[$0]!)" }.joined(separator: "; ")
      throw SATError("\(path) is the state of another landscape (\(was)); name another file with --state, or delete it")
    }
    values = Dictionary(zip(contents.points, contents.values), uniquingKeysWith: { first, _ in first })
  }

  /// Takes a value, and writes the file if the last time is seconds ago.
  public func put(_ value: LossLandscape.Value, at point: Int) throws {
    values[point] = value
    if clock.now - written >= .seconds(5) { try write() }
  }

  /// Writes the file, whole or not at all.
  public func write() throws {
    guard let path else { return }
    let points = values.keys.sorted()
    let contents = Contents(identity: identity, points: points, values: points.map { values[$0]! })
    try AtomicFile.write(Array(JSONEncoder().encode(contents)), to: path)
    written = clock.now
  }
}

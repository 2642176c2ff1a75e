internal import SwiftTorch

/// The state of finished landscape points, from which a killed run continues.
final class LandscapeStore {
  private static let kind = StateFile.Kind(format: "sat-landscape-state/2", work: "a landscape")

  /// The file holds tensors only.
  private struct Contents: Codable {}

  private let file: StateFile?
  private(set) var values: [Int: LossLandscape.Value] = [:]

  /// Opens the state's folder or starts a new one; nil keeps the values in memory only. Runs that may share a state have the same
  /// identity.
  ///
  /// - Throws: `SATError` when the file belongs to another landscape, or when another process uses it.
  init(_ place: String?, identity: StateIdentity) throws {
    file = try place.map { try StateFile(at: $0, Self.kind, identity: identity, interval: .seconds(5)) }
    guard let file, let saved = try file.read(Contents.self)?.tensors else { return }
    guard let points = saved["points"]?.array(of: Int.self), let losses = saved["loss"]?.array(of: Double.self),
      let accuracies = saved["accuracy"]?.array(of: Double.self), points.count == losses.count, points.count == accuracies.count
    else { throw file.unusable }
    for (point, (loss, accuracy)) in zip(points, zip(losses, accuracies)) { values[point] = .init(loss: loss, accuracy: accuracy) }
  }

  /// Adds a value, and writes the file if the last write was seconds ago.
  func put(_ value: LossLandscape.Value, at point: Int) throws {
    values[point] = value
    if let file, file.isDue { try write() }
  }

  /// Writes the whole file, or leaves the old one.
  func write() throws {
    let points = values.keys.sorted()
    try file?.write(
      Contents(),
      tensors: [
        ("points", Tensor(points)), ("loss", Tensor(points.map { values[$0]!.loss })),
        ("accuracy", Tensor(points.map { values[$0]!.accuracy })),
      ])
  }
}

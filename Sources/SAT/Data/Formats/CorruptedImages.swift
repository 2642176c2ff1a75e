internal import Foundation
internal import SwiftTorch

/// A folder such as CIFAR-10-C: an array of images for each corruption, and `labels.npy`.
///
/// The images of severity 1 come first, then those of 2, and so on to 5. The labels are those of all severities or of one.
/// Source: D. Hendrycks, T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations".
struct CorruptedImages: ImageParts {
  let name: String
  let folder: String
  let reading: ImageReading

  static let severities = 5
  var hasParts: Bool { false }
  var usedChoices: Set<ReadingChoice> { [.layout, .preprocessing, .corruption, .severity] }

  /// True if the folder has labels and an array with the name of a corruption.
  static func isHere(_ folder: String) -> Bool {
    FileManager.default.isFile("\(folder)/labels.npy") && !corruptions(folder).isEmpty
  }

  /// The names of the arrays beside the labels; empty if one of them is plain images.
  private static func corruptions(_ folder: String) -> [String] {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".npy") }
      .map { String($0.dropLast(4)) }.filter { $0 != "labels" }.sorted()
    return names.contains { ArrayRole($0) != nil } ? [] : names
  }

  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) { try testPart().splittingOffValidation() }

  func testPart() throws -> ImageDataset {
    let known = Self.corruptions(folder)
    guard let corruption = reading.corruption else {
      throw SATError("\(folder) holds \(known.count) corruptions; choose one with --corruption: \(known.joined(separator: ", "))")
    }
    guard known.contains(corruption) else {
      throw SATError(
        "\(folder) has no corruption '\(corruption)'; expected one of \(known.joined(separator: ", "))"
          + Suggestion.question(about: corruption, among: known))
    }
    let path = "\(folder)/\(corruption).npy"
    let stored = try NumPyFile.readArray(path)
    let labels = try NumPyFile.readArray("\(folder)/labels.npy").makeTensor()
    guard let rows = stored.shape.first, rows > 0, rows.isMultiple(of: Self.severities),
      labels.count == rows || labels.count == rows / Self.severities
    else {
      throw SATError(
        "\(path) has shape \(stored.shape) beside \(labels.count) labels; expected the images of \(Self.severities) severities, "
          + "and labels for all or for one of them")
    }
    let perSeverity = rows / Self.severities
    let range = reading.severity.map { ($0 - 1) * perSeverity..<$0 * perSeverity } ?? 0..<rows
    let part =
      labels.count == rows ? labels[range] : reading.severity == nil ? .concatenated(Array(repeating: labels, count: 5)) : labels
    let severity = reading.severity.map { "severity \($0)" } ?? "severities 1 to \(Self.severities)"
    return try ImageDataset(
      name: "\(name) (\(corruption), \(severity))", split: "file", imageArray: stored.makeTensor()[range], labelArray: part,
      reading: reading)
  }
}

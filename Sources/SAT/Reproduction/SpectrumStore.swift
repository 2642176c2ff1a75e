internal import Foundation
internal import SwiftTorch

/// Per-sample eigenvalues and their estimates, batch by batch in a file, so that a measurement that was stopped goes on from there.
struct SpectrumStore {
  /// Samples that are measured at a time; a multiple of the 32 that share a gradient, so that the parts give what the whole would.
  static let batch = 128

  private struct Contents: Codable {
    var format = "sat-spectrum-state/1"
    /// What the values depend on.
    var identity: String
    var perSample: HessianDocument.PerSample?
  }

  private let path: String
  private var contents: Contents

  /// Takes up a file of the same identity; one of another is written over.
  init(_ path: String, identity: String) throws {
    self.path = path
    contents = Contents(identity: identity)
    guard FileManager.default.fileExists(atPath: path) else { return }
    let bytes = try FileBytes.read(path, expecting: "the state of a spectrum")
    if let found = try? JSONDecoder().decode(Contents.self, from: Data(bytes)), found.identity == identity { contents = found }
  }

  /// Measures the samples that are not in the file.
  ///
  /// - Parameters:
  ///   - images: [N, C, H, W].
  ///   - progress: hears of what is being computed and of the fraction of all that is done.
  mutating func measure(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, batch: Int = Self.batch, progress: (String, Double) -> Void = { _, _ in }
  ) throws -> HessianDocument.PerSample {
    var request = HessianAnalysis.Request()
    request.top = 0
    request.perSample = PerSampleSpectrum.Settings()
    request.approximations = true
    let count = labels.count
    while (contents.perSample?.eigenvalues.count ?? 0) < count {
      let start = contents.perSample?.eigenvalues.count ?? 0
      let range = start..<min(start + batch, count)
      let analysis = try HessianAnalysis.measure(classifier, images: images[range], labels: labels[range], request) { part, fraction in
        progress(part, (Double(start) + fraction * Double(range.count)) / Double(count))
      }
      let part = HessianDocument.PerSample(analysis)!
      contents.perSample = contents.perSample?.appending(part) ?? part
      try AtomicFile.write(Array(JSONEncoder().encode(contents)), to: path)
    }
    return contents.perSample!
  }

  /// Deletes the file.
  func remove() { try? FileManager.default.removeItem(atPath: path) }
}

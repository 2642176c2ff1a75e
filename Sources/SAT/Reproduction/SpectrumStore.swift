internal import SwiftTorch

/// Per-sample eigenvalues and their estimates, batch by batch in a file, so that a measurement that was stopped goes on from there.
struct SpectrumStore {
  /// Samples that are measured at a time; a multiple of the 32 that share a gradient, so that the parts give what the whole would.
  static let batch = 128

  private static let kind = StateFile.Kind(format: "sat-spectrum-state/2", work: "a spectrum")

  private struct Contents: Codable {
    var perSample: HessianReport.PerSample?
  }

  private let file: StateFile
  private var contents: Contents

  /// - Parameter identity: of this measurement; equal between runs that may share a state.
  /// - Throws: a sentence when the file is there and belongs to something else, or another process has it.
  init(_ path: String, identity: StateIdentity) throws {
    file = try StateFile(path, Self.kind, identity: identity)
    contents = try file.read(Contents.self)?.contents ?? Contents()
  }

  /// Measures the samples that are not in the file.
  ///
  /// - Parameters:
  ///   - images: [N, C, H, W].
  ///   - progress: hears of what is being computed and of the fraction of all that is done.
  mutating func measure(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, batch: Int = Self.batch, progress: (String, Double) -> Void = { _, _ in }
  ) throws -> HessianReport.PerSample {
    var request = HessianAnalysis.Request()
    request.top = 0
    request.perSample = PerSampleSpectrum.Settings()
    request.approximations = true
    let count = labels.count
    while (contents.perSample?.eigenvalues.count ?? 0) < count {
      let start = contents.perSample?.eigenvalues.count ?? 0
      let range = start..<min(start + batch, count)
      let analysis = try HessianAnalysis(classifier, images: images[range], labels: labels[range], request) { part, fraction in
        progress(part, (Double(start) + fraction * Double(range.count)) / Double(count))
      }
      let part = HessianReport.PerSample(analysis)!
      contents.perSample = contents.perSample?.appending(part) ?? part
      try file.write(contents)
    }
    return contents.perSample!
  }

  /// Deletes the file.
  func remove() { file.remove() }
}

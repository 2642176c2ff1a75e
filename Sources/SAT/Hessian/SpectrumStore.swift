internal import SwiftTorch

/// The state of finished per-sample eigenvalues and their estimates, from which a stopped measurement continues.
struct SpectrumStore {
  /// The number of samples per part; a multiple of the 32 that share a gradient, so parts and whole give the same numbers.
  static let batch = 128

  private static let kind = StateFile.Kind(format: "sat-spectrum-state/2", work: "a spectrum")

  private struct Contents: Codable {
    var spectrum = PerSampleSpectrum()
    var approximations: [String: [Double]] = [:]
    var seconds = 0.0
  }

  private let file: StateFile
  private var contents: Contents

  /// Opens the state's folder or starts a new one; runs that may share a state have the same identity.
  ///
  /// - Throws: `SATError` when the file belongs to another measurement, or when another process uses it.
  init(_ place: String, identity: StateIdentity) throws {
    file = try StateFile(at: place, Self.kind, identity: identity)
    contents = try file.read(Contents.self)?.contents ?? Contents()
  }

  /// Measures the samples that are not in the file; only the request's per-sample settings, approximations and chunk matter.
  ///
  /// - Throws: `JobStopped` when `shouldStop` returned true before a batch, and the measurement's errors; the file holds all
  ///   finished batches.
  mutating func measure(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, _ request: HessianAnalysis.Request, batch: Int = Self.batch,
    progress: (String, Double) -> Void = { _, _ in }, shouldStop: () -> Bool = { false }
  ) throws {
    var part = HessianAnalysis.Request()
    part.top = 0
    part.perSample = request.perSample
    part.approximations = request.approximations
    part.chunk = request.chunk
    let count = labels.count
    while contents.spectrum.eigenvalues.count < count {
      let start = contents.spectrum.eigenvalues.count
      if shouldStop() { throw JobStopped(done: "\(start) of \(count) samples") }
      let range = start..<min(start + batch, count)
      let analysis = try HessianAnalysis.measure(classifier, images: images[range], labels: labels[range], part) { name, fraction in
        progress(name, (Double(start) + fraction * Double(range.count)) / Double(count))
      }
      contents.spectrum.append(analysis.perSample!)
      for (name, found) in analysis.approximations ?? [:] { contents.approximations[name, default: []] += found.values }
      contents.seconds += analysis.seconds
      try file.write(contents)
    }
  }

  /// Adds the spectrum and its estimates to an analysis of the same images, with correlations over all images.
  func add(to analysis: inout HessianAnalysis) {
    let norms = contents.spectrum.eigenvalues.map(abs)
    analysis.perSample = contents.spectrum
    // Only estimates that every part has are complete.
    let whole = contents.approximations.filter { $0.value.count == norms.count }
    analysis.approximations = whole.isEmpty ? nil : whole.mapValues { .init(values: $0, spearman: Spearman.correlation($0, norms)) }
    analysis.seconds += contents.seconds
  }
}

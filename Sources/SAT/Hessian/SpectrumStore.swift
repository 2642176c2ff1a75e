internal import SwiftTorch

/// Per-sample eigenvalues and their estimates, batch by batch in a file, so that a measurement that was stopped goes on from there.
struct SpectrumStore {
  /// Samples that are measured at a time; a multiple of the 32 that share a gradient, so that the parts give what the whole would.
  static let batch = 128

  private static let kind = StateFile.Kind(format: "sat-spectrum-state/2", work: "a spectrum")

  private struct Contents: Codable {
    var spectrum = PerSampleSpectrum(eigenvalues: [], residuals: [], iterations: [], isConverged: [])
    var approximations: [String: [Double]] = [:]
    var seconds = 0.0
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
  ///   - request: whose per-sample settings and approximations count, nothing else.
  ///   - progress: hears of what is being computed and of the fraction of all that is done.
  ///   - shouldStop: asked before every batch.
  /// - Throws: `JobStopped` when it was asked to stop, and what the measurement throws; the batches that are done are in the file.
  mutating func measure(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, _ request: HessianAnalysis.Request, batch: Int = Self.batch,
    progress: (String, Double) -> Void = { _, _ in }, shouldStop: () -> Bool = { false }
  ) throws {
    var part = HessianAnalysis.Request()
    (part.top, part.perSample, part.approximations, part.chunk) = (0, request.perSample, request.approximations, request.chunk)
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

  /// Adds the spectrum and its estimates to an analysis of the same images, with the correlations over all of them.
  func add(to analysis: inout HessianAnalysis) {
    let norms = contents.spectrum.eigenvalues.map(abs)
    analysis.perSample = contents.spectrum
    // A part may lack an estimate that the others have.
    let whole = contents.approximations.filter { $0.value.count == norms.count }
    analysis.approximations =
      whole.isEmpty ? nil : whole.mapValues { .init(values: $0, spearman: Spearman.correlation($0, norms)) }
    analysis.seconds += contents.seconds
  }
}

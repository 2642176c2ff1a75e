import ArgumentParser
import SAT
import SwiftTorch

extension Lanczos.End: ExpressibleByArgument {}

struct HessianCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hessian",
    abstract: "Measure the curvature of a model's loss with respect to its weights.",
    discussion: """
      The Hessian is that of the mean cross-entropy over the samples, in evaluation mode, over all parameters, without weight decay; with
      --at adversarial at the images PGD ends at, which is the paper's measure of smoothness (Eq. 9). Only what is asked for is
      computed; by default the eigenvalue of largest magnitude.

      --per-sample gives the dominant eigenvalue of every sample's own Hessian, whose magnitude is H-SAT's difficulty; with
      --approximations the estimates of it stand beside, with Spearman's rank correlation.

      Examples:
        sat hessian runs/digits-p-sat --split train --first 512 --at adversarial --top 5 --trace
        sat hessian runs/digits-p-sat --first 128 --per-sample --approximations
        sat hessian lenet5.pt --model lenet5 --data mnist --first 256 --density --json
        sat hessian runs/digits-at --first 64 --top 3 --solver power --dtype float64
      """)

  enum SolverName: String, ExpressibleByArgument, CaseIterable { case lanczos, power }
  enum Precision: String, ExpressibleByArgument, CaseIterable {
    case float32, float64

    var dtype: DType { self == .float32 ? .float32 : .float64 }
  }

  @OptionGroup var subject: ModelOnImages

  @Option(help: "Where to look: clean or adversarial images.")
  var at: ModelOnImages.Place = .clean

  @Option(help: ArgumentHelp("Extreme eigenvalues. Default: 1, or none when something else is asked for.", valueName: "k"))
  var top: Int?

  @Option(help: "lanczos, or the paper's power method.")
  var solver: SolverName = .lanczos

  @Option(help: "Which eigenvalues: of largest magnitude, the largest, or the smallest (lanczos only).")
  var end: Lanczos.End = .magnitude

  @Option(help: ArgumentHelp("Largest residual ‖Hv − λv‖ / |λ|. Default: 0.001, 0.01 per sample.", valueName: "fraction"))
  var tolerance: Double?

  @Option(
    help: ArgumentHelp(
      "Products with the Hessian at most: in all by lanczos, per eigenvalue by power, per sample by --per-sample.", valueName: "n"))
  var iterations = 200

  @Flag(help: "Estimate the trace (Hutchinson).")
  var trace = false

  @Option(help: ArgumentHelp("Random vectors of the trace. Default: 30.", valueName: "n"))
  var probes: Int?

  @Flag(help: "Estimate the density of the eigenvalues (stochastic Lanczos quadrature).")
  var density = false

  @Option(help: ArgumentHelp("Lanczos steps of the density. Default: 60.", valueName: "n"))
  var densitySteps: Int?

  @Option(help: ArgumentHelp("Random starts of the density. Default: 4.", valueName: "n"))
  var densityProbes: Int?

  @Option(help: ArgumentHelp("Standard deviation of the density's Gaussian. Default: 1 % of the range.", valueName: "width"))
  var densityWidth: Double?

  @Flag(help: "The dominant eigenvalue of every sample's Hessian.")
  var perSample = false

  @Flag(help: "Estimates of the per-sample eigenvalues beside them (needs --per-sample).")
  var approximations = false

  @Option(help: "Precision of weights and derivatives: float32 or float64.")
  var dtype: Precision = .float32

  @OptionGroup var output: OutputOptions

  func validate() throws {
    try check("--top", top, in: 1...1_000)
    try check("--probes", probes, in: Limit.probes)
    try check("--density-steps", densitySteps, in: 2...10_000)
    try check("--density-probes", densityProbes, in: 1...Limit.probes.upperBound)
    try check("--iterations", iterations, in: Limit.steps)
    if let tolerance, !(tolerance > 0 && tolerance < 1) { throw ValidationError("--tolerance is \(tolerance); expected 0 < tolerance < 1.") }
    if let densityWidth, !(densityWidth > 0 && densityWidth.isFinite) {
      throw ValidationError("--density-width is \(densityWidth); expected more than 0.")
    }
    if at == .clean, let option = subject.perturbation.typed { throw ValidationError("\(option) needs --at adversarial.") }
    if probes != nil && !trace { throw ValidationError("--probes needs --trace.") }
    for (option, isGiven) in [
      ("--density-steps", densitySteps != nil), ("--density-probes", densityProbes != nil), ("--density-width", densityWidth != nil),
    ] where isGiven && !density {
      throw ValidationError("\(option) needs --density.")
    }
    if approximations && !perSample { throw ValidationError("--approximations needs --per-sample.") }
    if solver == .power && end != .magnitude { throw ValidationError("--end \(end.rawValue) needs --solver lanczos.") }
  }

  mutating func run() throws {
    try output.begin(reading: subject.options.inputs)
    let loaded = try subject.load()
    let classifier = loaded.model.classifier
    guard !approximations || classifier is NetworkClassifier else {
      throw SATError(
        "\(subject.path) is a TorchScript archive, whose layers the scores cannot see; leave out --approximations, or use a state_dict of "
          + "one of the networks `sat models` lists")
    }
    let maximizer = at == .adversarial ? try subject.perturbation.resolved(loaded.trained).maximizer : nil
    let display = PhaseDisplay()
    var images = loaded.images
    if let maximizer {
      images = try maximizer.adversarialImages(
        classifier, images, loaded.labels, batchSize: subject.batchSize ?? 128, generator: Generator(seed: subject.seed)
      ) { display.show("perturbing", $0) }
    }
    if dtype == .float64 {
      guard let network = classifier as? NetworkClassifier else {
        throw SATError(
          "\(subject.path) is a TorchScript archive, which keeps the precision it was saved in; leave out --dtype float64, or use a "
            + "state_dict of one of the networks `sat models` lists")
      }
      network.module.convert(to: .float64)
      images = images.to(.float64)
    }
    let request = request()
    let analysis: HessianAnalysis
    do {
      analysis = try HessianAnalysis.measure(classifier, images: images, labels: loaded.labels, request, progress: display.show)
    } catch {
      // What the sentence says of the loss or the parameters holds for every kind of model.
      if error.code == .value { throw SATError("\(subject.path): \(error.message)") }
      guard classifier is ScriptClassifier else { throw error }
      throw SATError("\(subject.path) is a TorchScript archive whose loss cannot be differentiated twice: \(error.message)")
    }
    Terminal.standardError.endProgress()
    let document = HessianDocument(
      analysis, model: subject.path, data: loaded.data, perturbation: maximizer, seed: subject.seed)
    try output.deliver(document, text: HessianTable(document, asked: request.top).description)
  }

  private func request() -> HessianAnalysis.Request {
    var request = HessianAnalysis.Request()
    request.top = top ?? (trace || density || perSample ? 0 : 1)
    request.solver =
      switch solver {
      case .lanczos: .lanczos(Lanczos(tolerance: tolerance ?? 1e-3, maximumSteps: iterations), end: end)
      case .power: .power(PowerMethod(residualTolerance: tolerance ?? 1e-3, maximumIterations: iterations))
      }
    request.traceProbes = trace ? probes ?? 30 : nil
    if density {
      var settings = HessianAnalysis.Request.Density()
      settings.probes = densityProbes ?? settings.probes
      settings.steps = densitySteps ?? settings.steps
      settings.width = densityWidth
      request.density = settings
    }
    if perSample {
      var settings = PerSampleSpectrum.Settings()
      settings.tolerance = tolerance ?? settings.tolerance
      settings.maximumIterations = iterations
      settings.chunk = subject.batchSize
      settings.seed = subject.seed
      request.perSample = settings
    }
    request.approximations = approximations
    (request.chunk, request.seed) = (subject.batchSize, subject.seed)
    return request
  }
}

/// Shows the progress of work that goes through parts of different names.
final class PhaseDisplay {
  private var phase = ""
  private var start = ContinuousClock().now

  func show(_ name: String, _ fraction: Double) {
    if name != phase {
      (phase, start) = (name, ContinuousClock().now)
      Terminal.standardError.endProgress()
    }
    Terminal.standardError.progress(name, fraction: fraction, since: start)
  }
}

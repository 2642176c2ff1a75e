import ArgumentParser
import SAT
import SwiftTorch

extension Lanczos.End: ExpressibleByArgument {}

struct HessianCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hessian", abstract: "Measure the curvature of a model's loss with respect to its weights.",
    discussion: """
      The command takes the Hessian of the mean cross-entropy over the samples, with respect to all parameters, in evaluation mode \
      and without weight decay. --at adversarial uses the last images of PGD, as the paper's measure of smoothness does (Eq. 9). \
      The command computes only the requested quantities. Default: the eigenvalue of largest magnitude.

      --per-sample computes the dominant eigenvalue of each sample's own Hessian; H-SAT ranks samples by its magnitude. \
      --approximations adds estimates of that magnitude, with Spearman's rank correlation.

      EXAMPLES:
        sat hessian runs/digits-p-sat --split train --first 512 --at adversarial \\
          --top 5 --trace
        sat hessian runs/digits-p-sat --first 128 --per-sample --approximations \\
          --state s
        sat hessian lenet5.pt --model lenet5 --data mnist --first 256 --density \\
          --json
        sat hessian runs/digits-at --first 64 --top 3 --solver power --dtype float64
      """)

  enum Place: String, ExpressibleByArgument, CaseIterable { case clean, adversarial }
  enum SolverName: String, ExpressibleByArgument, CaseIterable { case lanczos, power }
  enum Precision: String, ExpressibleByArgument, CaseIterable { case float32, float64 }

  @OptionGroup var subject: ModelOnImages
  @Option(help: "Images at which the loss is taken: clean or adversarial.") var at: Place = .clean
  @Option(help: .value("k", "Extreme eigenvalues. Default: 1; 0 with --trace, --density or --per-sample.")) var top: Int?
  @Option(help: "Eigenvalue solver: lanczos, or the paper's power method.") var solver: SolverName = .lanczos

  @Option(help: "End of the spectrum: largest magnitude, largest or smallest (other than magnitude: lanczos only).")
  var end: Lanczos.End = .magnitude

  @Option(help: .value("fraction", "Largest residual ‖Hv − λv‖ / |λ|. Default: 0.001; 0.01 per sample.")) var tolerance: Double?

  @Option(
    help: .value("n", "Most Hessian-vector products: in total for lanczos, per eigenvalue for power, per sample for --per-sample."))
  var iterations = 200

  @Flag(help: "Estimate the trace (Hutchinson).") var trace = false
  @Option(help: .value("n", "Random vectors for the trace. Default: 30.")) var probes: Int?
  @Flag(help: "Estimate the density of the eigenvalues (stochastic Lanczos quadrature).") var density = false
  @Option(help: .value("n", "Lanczos steps for the density. Default: 60.")) var densitySteps: Int?
  @Option(help: .value("n", "Random starting vectors for the density. Default: 4.")) var densityProbes: Int?

  @Option(help: .value("width", "Standard deviation of the density's Gaussian. Default: 1 % of the range."))
  var densityWidth: Double?

  @Flag(help: "Compute the dominant eigenvalue of each sample's Hessian.") var perSample = false
  @Flag(help: "Add estimates of the per-sample eigenvalues (needs --per-sample).") var approximations = false
  @Option(help: "Data type of weights and derivatives: float32 or float64.") var dtype: Precision = .float32

  @Option(help: .value("dir", "Folder for the saved state of --per-sample. A stopped measurement continues from it."))
  var state: String?
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try check("--top", top, in: 1...1_000)
    try check("--probes", probes, in: Limit.probes)
    try check("--density-steps", densitySteps, in: 2...10_000)
    try check("--density-probes", densityProbes, in: 1...Limit.probes.upperBound)
    try check("--iterations", iterations, in: Limit.steps)
    if let tolerance, !(tolerance > 0 && tolerance < 1) {
      throw ValidationError("--tolerance is \(tolerance); expected 0 < tolerance < 1.")
    }
    if let densityWidth, !(densityWidth > 0 && densityWidth.isFinite) {
      throw ValidationError("--density-width is \(densityWidth); expected more than 0.")
    }
    if at == .clean, let option = subject.typedPerturbation { throw ValidationError("\(option) needs --at adversarial.") }
    if probes != nil && !trace { throw ValidationError("--probes needs --trace.") }
    if densitySteps != nil && !density { throw ValidationError("--density-steps needs --density.") }
    if densityProbes != nil && !density { throw ValidationError("--density-probes needs --density.") }
    if densityWidth != nil && !density { throw ValidationError("--density-width needs --density.") }
    if approximations && !perSample { throw ValidationError("--approximations needs --per-sample.") }
    if state != nil && !perSample { throw ValidationError("--state keeps finished samples, so it needs --per-sample; remove it.") }
    if solver == .power && end != .magnitude { throw ValidationError("--end \(end.rawValue) needs --solver lanczos.") }
  }

  func run() throws {
    try output.begin(
      "reading the model and the data", writing: state.map(StatePlace.file), reading: subject.options.inputs, making: state)
    let loaded = try subject.options.load()
    let perturbation =
      at == .clean ? nil : ImagePerturbation(try subject.maximizer(loaded.trained), seed: subject.seed)
    var job = HessianJob(model: loaded.model, data: loaded.data, request: request(), perturbation: perturbation)
    job.batchSize = subject.batchSize ?? job.batchSize
    job.dtype = dtype == .float32 ? .float32 : .float64
    job.state = state
    let advice = perSample ? "name a folder with --state to keep finished samples" : "run the command again"
    let document = try Interruption.listening(keeping: "they are", in: state, otherwise: advice) { display in
      try job.run(progress: display.show, shouldStop: { Interruption.isRequested }).document
    }
    try output.deliver(document, text: HessianTable(document, asked: job.request.top).description)
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
    request.chunk = subject.batchSize
    request.seed = subject.seed
    return request
  }
}

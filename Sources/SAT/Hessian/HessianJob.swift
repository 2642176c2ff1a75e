public import SwiftTorch

/// A job that measures the curvature of a model's loss, in full precision, at clean or perturbed images.
public struct HessianJob {
  public let model: LoadedModel
  public let data: ImageDataset
  public var request: HessianAnalysis.Request
  /// The perturbation of the images; nil for clean images.
  public var perturbation: ImagePerturbation?
  /// The number of images per batch of the perturbation; `request.chunk` is the number for the derivatives.
  public var batchSize = 128
  /// The dtype of weights and derivatives: float32, or float64 for networks from the catalogue.
  public var dtype = DType.float32
  /// The folder for the saved state: finished per-sample eigenvalues; nil saves nothing.
  public var state: String?

  /// A finished measurement and the job that made it.
  public struct Result {
    public let job: HessianJob
    public let analysis: HessianAnalysis
  }

  public init(model: LoadedModel, data: ImageDataset, request: HessianAnalysis.Request, perturbation: ImagePerturbation? = nil) {
    self.model = model
    self.data = data
    self.request = request
    self.perturbation = perturbation
  }

  /// Runs the job.
  ///
  /// It asks `shouldStop` before every batch of the perturbation and before the measurement. With a state it also asks before
  /// every 128 samples of the per-sample eigenvalues.
  /// - Throws: `JobStopped` when `shouldStop` returned true, `SATError` for a model that does not support the request or a state
  ///   of another job, and the model's errors.
  public func run(progress: (JobProgress) -> Void = { _ in }, shouldStop: () -> Bool = { false }) throws -> Result {
    try model.check(data)
    let network = model.classifier as? NetworkClassifier
    if network == nil, request.approximations || dtype == .float64 {
      let (reason, option) =
        request.approximations
        ? ("and the scores cannot read its layers", "--approximations")
        : ("which keeps the precision of its file", "--dtype float64")
      throw SATError(
        "\(model.name) is a TorchScript archive, \(reason); leave out \(option), or use a state_dict of one of the networks "
          + "`sat models` lists")
    }
    return try model.measuringLoss(on: data) { clean, labels in
      var store = try state.map { try SpectrumStore($0, identity: identity()) }
      var images = clean
      if let perturbation {
        guard let found = try perturbation.images(model.classifier, clean, labels, batchSize, progress, shouldStop) else {
          throw JobStopped()
        }
        images = found
      }
      var classifier = model.classifier
      if dtype == .float64, let network {
        let copy = try network.copy()
        copy.module.convert(to: .float64)
        classifier = copy
        images = images.to(.float64)
      }
      if shouldStop() { throw JobStopped() }
      do {
        return Result(job: self, analysis: try analyze(classifier, images, labels, &store, progress, shouldStop))
      } catch let error as TorchError {
        // A value error describes the loss or the parameters, so it fits every kind of model.
        if error.code == .value { throw SATError("\(model.name): \(error.message)") }
        guard classifier is ScriptClassifier else { throw error }
        throw SATError("\(model.name) is a TorchScript archive, and its loss has no second derivatives here: \(error.message)")
      }
    }
  }

  /// Measures all at once; with a state it measures the per-sample spectrum part by part.
  private func analyze(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, _ store: inout SpectrumStore?,
    _ progress: (JobProgress) -> Void, _ shouldStop: () -> Bool
  ) throws -> HessianAnalysis {
    func show(_ part: String, _ fraction: Double) {
      progress(JobProgress(phase: part, fraction: fraction, mayEndEarly: part == "eigenvalues"))
    }
    guard store != nil, request.perSample != nil else {
      return try HessianAnalysis.measure(classifier, images: images, labels: labels, request, progress: show)
    }
    var whole = request
    whole.perSample = nil
    whole.approximations = false
    var analysis = try HessianAnalysis.measure(classifier, images: images, labels: labels, whole, progress: show)
    try store!.measure(classifier, images, labels, request, progress: show, shouldStop: shouldStop)
    store!.add(to: &analysis)
    return analysis
  }

  /// Returns the identity of the state: everything that the saved eigenvalues depend on.
  private func identity() throws -> StateIdentity {
    var identity = try StateIdentity(model: model, data: data, seed: request.seed)
    identity["precision"] = "\(dtype)"
    identity["images"] = perturbation?.description(batchSize: batchSize) ?? "clean"
    if let settings = request.perSample {
      identity["per-sample eigenvalues"] =
        "tolerance \(settings.tolerance), at most \(settings.maximumIterations) products, seed \(settings.seed)"
        + (request.approximations ? ", with approximations" : "")
    }
    return identity
  }
}

extension LoadedModel {
  /// Runs `body` with the model in full precision and the images in the model's memory format; restores the execution afterwards.
  ///
  /// `auto` means the contiguous format on the CPU, because second derivatives measured 5 to 15 % faster in it.
  func measuringLoss<R>(on data: ImageDataset, _ body: (_ images: Tensor, _ labels: Tensor) throws -> R) throws -> R {
    var execution = classifier.execution
    execution.precision = .fp32
    if execution.memoryFormat == .auto, !device.isCUDA { execution.memoryFormat = .contiguous }
    let (images, labels) = try data.batch(0..<data.count)
    return try classifier.withExecution(execution) {
      try body(images.to(device).contiguous(execution.memoryFormat.format), labels.to(device))
    }
  }
}

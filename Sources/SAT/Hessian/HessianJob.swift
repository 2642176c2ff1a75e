public import SwiftTorch

/// Measures the curvature of a model's loss at images, clean or perturbed.
///
/// The model computes in full precision meanwhile, whatever its own precision is, and is as before afterwards.
public struct HessianJob {
  public let model: LoadedModel
  public let data: ImageDataset
  public var request: HessianAnalysis.Request
  /// Nil for the images as they are.
  public var perturbation: ImagePerturbation?
  /// Images in a batch of the perturbation; `request.chunk` is the number for the derivatives.
  public var batchSize = 128
  /// Of weights and derivatives: float32, or float64 for networks of the catalogue.
  public var dtype = DType.float32
  /// File that keeps the per-sample eigenvalues that are done; nil keeps nothing.
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

  /// - Parameter shouldStop: asked before every batch of the perturbation, before the measurement, and with a state before every 128
  ///   samples of the per-sample eigenvalues.
  /// - Throws: `JobStopped` when it was asked to stop, `SATError` for a model that cannot be measured so or a state that belongs to
  ///   something else, and what the model throws.
  public func run(
    progress: (JobProgress) -> Void = { _ in }, shouldStop: () -> Bool = { false }
  ) throws -> Result {
    try model.check(data)
    let network = model.classifier as? NetworkClassifier
    if request.approximations, network == nil {
      throw SATError(
        "\(model.name) is a TorchScript archive, whose layers the scores cannot see; leave out --approximations, or use a state_dict of "
          + "one of the networks `sat models` lists")
    }
    if dtype == .float64, network == nil {
      throw SATError(
        "\(model.name) is a TorchScript archive, which keeps the precision it was saved in; leave out --dtype float64, or use a "
          + "state_dict of one of the networks `sat models` lists")
    }
    return try model.measuringLoss(on: data) { clean, labels in
      var store = try state.map { try SpectrumStore($0, identity: identity()) }
      var images = clean
      if let perturbation {
        let perturbed = try perturbation.maximizer.adversarialImages(
          model.classifier, clean, labels, batchSize: batchSize, generator: Generator(seed: perturbation.seed),
          progress: { progress(JobProgress(phase: "perturbing", fraction: $0)) }, shouldStop: shouldStop)
        guard let perturbed else { throw JobStopped() }
        images = perturbed
      }
      var classifier = model.classifier
      if dtype == .float64, let network {
        let twin = try network.copy()
        twin.module.convert(to: .float64)
        (classifier, images) = (twin, images.to(.float64))
      }
      if shouldStop() { throw JobStopped() }
      do {
        return Result(job: self, analysis: try analyze(classifier, images, labels, &store, progress, shouldStop))
      } catch let error as TorchError {
        // What the sentence says of the loss or the parameters holds for every kind of model.
        if error.code == .value { throw SATError("\(model.name): \(error.message)") }
        guard classifier is ScriptClassifier else { throw error }
        throw SATError("\(model.name) is a TorchScript archive whose loss cannot be differentiated twice: \(error.message)")
      }
    }
  }

  /// All at once without a state; with one the per-sample spectrum comes part by part.
  private func analyze(
    _ classifier: any Classifier, _ images: Tensor, _ labels: Tensor, _ store: inout SpectrumStore?, _ progress: (JobProgress) -> Void,
    _ shouldStop: () -> Bool
  ) throws -> HessianAnalysis {
    func show(_ part: String, _ fraction: Double) { progress(JobProgress(phase: part, fraction: fraction)) }
    guard store != nil, request.perSample != nil else {
      return try HessianAnalysis.measure(classifier, images: images, labels: labels, request, progress: show)
    }
    var whole = request
    (whole.perSample, whole.approximations) = (nil, false)
    var analysis = try HessianAnalysis.measure(classifier, images: images, labels: labels, whole, progress: show)
    try store!.measure(classifier, images, labels, request, progress: show, shouldStop: shouldStop)
    store!.add(to: &analysis)
    return analysis
  }

  /// What the state belongs to.
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
  /// Runs `body` with the model in full precision, and with images in the layout of its passes; puts the model's execution back.
  ///
  /// Measured: second derivatives on the CPU are 5 to 15 % faster in the contiguous layout, so `auto` means it there.
  func measuringLoss<R>(on data: ImageDataset, _ body: (_ images: Tensor, _ labels: Tensor) throws -> R) throws -> R {
    let kept = classifier.execution
    defer { classifier.execution = kept }
    classifier.execution.precision = .fp32
    if kept.memoryFormat == .auto, !device.isCUDA { classifier.execution.memoryFormat = .contiguous }
    let (images, labels) = try data.batch(0..<data.count)
    return try body(images.to(device).contiguous(classifier.execution.memoryFormat.format), labels.to(device))
  }
}

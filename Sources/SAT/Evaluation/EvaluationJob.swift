public import SwiftTorch

/// Measures a model's accuracy on images, clean and under attack.
///
/// A job with a state folder can be killed at any moment. The same job then continues from the saved state, with the same flags.
public struct EvaluationJob {
  public let model: LoadedModel
  public let data: ImageDataset
  public var plan: EvaluationPlan
  /// The seed of every random draw.
  public var seed: UInt64
  /// Images in a batch; nil for 128, or for the reference's 250 in mode compat. In mode fast it does not change the result.
  public var batchSize: Int?
  /// The folder for the saved state; nil saves nothing.
  public var state: String?
  /// True if the result holds the adversarial images.
  public var keepsImages = false
  /// The version of AutoAttack that sets the attacks' parameters, for the document; nil if no attack of AutoAttack runs.
  public var version: AutoAttack.Version?
  /// A warning about the plan, such as attacks that were left out.
  public var planWarning: Evaluation.Warning?

  /// A finished evaluation and the job that made it.
  public struct Result {
    public let job: EvaluationJob
    /// The evaluation. Its first warnings are about the model's file and the plan.
    public let evaluation: Evaluation
    /// The broken images, as the attacks left them; nil if the job keeps neither images nor a state.
    public let adversarial: AdversarialImages?
  }

  public init(model: LoadedModel, data: ImageDataset, plan: EvaluationPlan, seed: UInt64 = 0) {
    self.model = model
    self.data = data
    self.plan = plan
    self.seed = seed
  }

  /// Makes a job that runs attacks of a suite.
  ///
  /// - Throws: `SATError` if the attacks cannot run on so few classes.
  public init(model: LoadedModel, data: ImageDataset, suite: AttackSuite, attacks entries: [AttackEntry]) throws(SATError) {
    let (plan, warning) = try suite.plan(entries)
    self.init(model: model, data: data, plan: plan, seed: suite.settings.seed)
    version = suite.version(of: entries)
    planWarning = warning
  }

  /// Makes a job that runs AutoAttack as its authors publish it, in a threat model.
  ///
  /// - Throws: `SATError` if the model does not take the images, or has a single class; any error of the model.
  public init(
    model: LoadedModel, data: ImageDataset, autoAttack threat: ThreatModel, version: AutoAttack.Version = .standard,
    seed: UInt64 = 0
  ) throws {
    try model.check(data)
    let settings = AttackSettings(threat: threat, version: version, seed: seed, classes: try model.classCount(of: data))
    try self.init(model: model, data: data, suite: AttackSuite(settings), attacks: AutoAttack.ensemble(version))
  }

  /// Runs the evaluation. It calls `shouldStop` before every pass of a batch through the model; true stops the job.
  ///
  /// - Throws: `JobStopped` if `shouldStop` returned true, `SATError` if the state belongs to another job, the attacks cannot run
  ///   on the model, or the mode is compat and the precision bf16, and any error of the model.
  public func run(
    progress: @escaping (EvaluationProgress) -> Void = { _ in }, shouldStop: @escaping () -> Bool = { false }
  ) throws -> Result {
    try model.check(data)
    if plan.mode == .compat, model.classifier.execution.precision == .bf16 {
      throw SATError("mode compat repeats the reference, which computes in float32; choose precision fp32 or mode fast")
    }
    let store = try state.map { try EvaluationStore($0, identity: identity()) }
    let adversarial = keepsImages || store != nil ? AdversarialImages() : nil
    let evaluator = Evaluator(
      model: model.classifier, data: data, batchSize: samplesInBatch, device: model.device,
      layout: model.classifier.execution.memoryFormat.format)
    var evaluation = try prepared {
      try evaluator.run(plan, seed: seed, adversarial: adversarial, store: store, progress: progress, shouldStop: shouldStop)
    }
    evaluation.warnings.insert(contentsOf: [model.trustWarning, model.trainingModeWarning, planWarning].compactMap { $0 }, at: 0)
    return Result(job: self, evaluation: evaluation, adversarial: adversarial)
  }

  /// Runs `body`, in mode fast with prepared weights, which are faster and equal up to rounding; the evaluator confirms each hit.
  private func prepared<R>(_ body: () throws -> R) throws -> R {
    switch model.classifier {
    case let network as NetworkClassifier where plan.mode == .fast:
      try network.withPreparedWeights(inputShape: data.imageShape, body)
    case let script as ScriptClassifier where plan.mode == .fast: try script.withPreparedWeights(body)
    default: try body()
    }
  }

  fileprivate var samplesInBatch: Int { batchSize ?? (plan.mode == .compat ? 250 : 128) }

  private func identity() throws -> StateIdentity {
    var identity = try StateIdentity(model: model, data: data, seed: seed)
    identity["attack"] = plan.attacks.map(\.identity).joined(separator: "; ")
    identity["plan"] =
      ([plan.isIndividual ? "each attack alone" : "one attack after the other"] + (plan.checks ? [] : ["no checks"])
      + (plan.expectsRandomness ? ["a random model"] : [])).joined(separator: ", ")
    identity["mode"] = plan.mode.rawValue
    identity["batch size"] = plan.mode == .compat ? "\(samplesInBatch)" : "any"
    return identity
  }
}

extension EvaluationJob.Result {
  public var document: EvaluationDocument {
    var document = EvaluationDocument(
      evaluation, model: job.model.name, data: job.data, threat: job.plan.attacks.first?.threat, seed: job.seed,
      batchSize: job.samplesInBatch, mode: job.plan.mode, precision: job.model.classifier.execution.precision,
      device: "\(job.model.device)", version: job.version, attacks: job.plan.attacks)
    if let script = (job.model.classifier as? ScriptClassifier)?.script {
      document.archive = .init(trusted: !script.questionableOperators.isEmpty)
    }
    return document
  }

  /// Writes images, originals, labels, the model's answers and the document to a .safetensors file, which `sat verify` checks.
  ///
  /// The job must keep the images.
  ///
  /// - Throws: `TorchError` if the file cannot be written.
  public func saveImages(to path: String) throws {
    precondition(adversarial != nil, "EvaluationJob.keepsImages is false, so there are no images to save; set it to true")
    let (model, device) = (job.model.classifier, job.model.device)
    try SavedImages.write(
      adversarial!, job.data, document,
      logits: { images in try withNoGrad { try model.confirmedLogits(images.to(device)).to(.cpu) } },
      to: path)
  }
}

extension Attack {
  fileprivate var identity: String {
    "\(name) \(parameters), \(threat.norm.rawValue) \(threat.epsilon)" + (variant.map { " \($0)" } ?? "")
  }
}

extension LoadedModel {
  /// The warning about an archive that runs although its code could do more than compute; nil for others.
  public var trustWarning: Evaluation.Warning? {
    guard let operators = (classifier as? ScriptClassifier)?.script.questionableOperators, !operators.isEmpty else { return nil }
    return .init(
      code: .trustedArchive,
      message: "the archive was trusted, and ran \(operators.prefix(3).joined(separator: ", "))"
        + (operators.count > 3 ? ", …" : "") + ", which could reach files, processes or the network")
  }

  /// The warning about an archive that was saved with modules in training mode; nil if it was not.
  public var trainingModeWarning: Evaluation.Warning? {
    guard !trainingModules.isEmpty else { return nil }
    let some = trainingModules.prefix(3).joined(separator: ", ") + (trainingModules.count > 3 ? ", …" : "")
    let fact =
      trainingModules.contains("")
      ? "training mode; it was switched to evaluation mode, so call model.eval() before saving it"
      : "evaluation mode, but with modules in training mode (\(some)); they were switched to evaluation mode, so the measured "
        + "model differs from the saved model: call eval() on all of it before saving it"
    return .init(code: .trainingMode, message: "the TorchScript archive was saved in \(fact)")
  }

  /// Returns the number of the model's classes, from the logits of one image.
  ///
  /// - Throws: Any error of the model.
  public func classCount(of data: ImageDataset) throws(TorchError) -> Int {
    let image = try data.batch(0..<1).images.to(device)
    return try withNoGrad { () throws(TorchError) in try classifier.logits(image) }.size(1)
  }
}

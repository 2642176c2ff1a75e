/// The parts of a `sat-evaluation/1` document that a report shows.
struct RecordedEvaluation: RecordedDocument {
  static let format = "sat-evaluation/1"

  struct Data: Decodable {
    var name: String
    var split: String
    var samples: Int
  }

  struct Proportion: Decodable {
    var correct: Int
    var accuracy: Double
    var interval: [Double]
  }

  struct Threat: Decodable {
    var norm: String
    var epsilon: Double
  }

  struct Attack: Decodable {
    var name: String
    var robust: Int
    var seconds: Double
    var forward: Int
    var backward: Int
  }

  struct Warning: Decodable { var message: String }

  var model: String
  var data: Data
  var mode: String?
  var version: String?
  var seconds: Double
  var clean: Proportion
  var threat: Threat?
  var attacks: [Attack]
  var robust: Proportion?
  var perClass: [Evaluation.ClassResult]
  /// Of every sample, by what is flagged.
  var flags: [String: [Int]]?
  var warnings: [Warning]

  /// Whether each attack was counted alone rather than after those before it.
  var isIndividual: Bool { version == AttackNames.individual }

  private enum AttackNames { static let individual = "individual" }
}

/// What images a document's numbers are of.
struct RecordedImages: Decodable {
  struct Data: Decodable {
    var name: String
    var split: String?
    var samples: Int?
  }

  private var data: Data?
  private var perturbation: RecordedEvaluation.Threat?
  /// Of a landscape: "clean", "fixed" or "reattack".
  private var examples: String?

  /// Such as "adversarial (linf, radius 0.1), 128 train images of digits".
  var description: String {
    guard let data else { return "images that the document does not name" }
    let anew = examples == "reattack" ? ", attacked at every point" : ""
    let place = perturbation.map { "adversarial (\($0.norm), radius \(ReportRuns.brief($0.epsilon))\(anew))" }
    let split = data.split.flatMap { $0 == "file" ? nil : $0 }
    let images = [data.samples.map(String.init), split, "images of \(data.name)"].compactMap { $0 }.joined(separator: " ")
    return "\(place ?? "clean"), \(images)"
  }
}

/// A document that says which images its numbers are of.
protocol ImagesRecording { var images: RecordedImages { get } }

/// A `sat-hessian/1` document.
struct RecordedHessian: RecordedDocument, ImagesRecording {
  static let format = "sat-hessian/1"

  struct Eigenvalue: Decodable {
    var value: Double
    var residual: Double?
  }

  struct Trace: Decodable {
    var mean: Double
    var standardError: Double?
    var probes: Int?
  }

  struct Density: Decodable {
    var grid: [Double]
    var values: [Double]
  }

  struct PerSample: Decodable {
    var eigenvalues: [Double]
    var residuals: [Double]?
    var converged: [Bool]?
    var approximations: [String: [Double]]?
    var spearman: [String: Double?]?
  }

  let images: RecordedImages
  var loss: Double?
  var gradientNorm: Double?
  var parameters: Int?
  var samples: Int?
  var eigenvalues: [Eigenvalue]?
  var trace: Trace?
  var density: Density?
  var perSample: PerSample?

  private enum CodingKeys: String, CodingKey { case loss, gradientNorm, parameters, samples, eigenvalues, trace, density, perSample }

  init(from decoder: any Decoder) throws {
    images = try RecordedImages(from: decoder)
    let values = try decoder.container(keyedBy: CodingKeys.self)
    loss = try values.decodeIfPresent(Double.self, forKey: .loss)
    gradientNorm = try values.decodeIfPresent(Double.self, forKey: .gradientNorm)
    parameters = try values.decodeIfPresent(Int.self, forKey: .parameters)
    samples = try values.decodeIfPresent(Int.self, forKey: .samples)
    eigenvalues = try values.decodeIfPresent([Eigenvalue].self, forKey: .eigenvalues)
    trace = try values.decodeIfPresent(Trace.self, forKey: .trace)
    density = try values.decodeIfPresent(Density.self, forKey: .density)
    perSample = try values.decodeIfPresent(PerSample.self, forKey: .perSample)
  }
}

/// A `sat-landscape/1` document: the loss over a grid in the plane of two directions in weight space, or along one.
struct RecordedLandscape: RecordedDocument, ImagesRecording {
  static let format = "sat-landscape/1"

  let images: RecordedImages
  /// Positions along the directions; `y` is absent in one dimension.
  var x: [Double]
  var y: [Double]?
  /// A row for each `y`, a value for each `x`; one row in one dimension.
  var loss: [[Double]]
  var accuracy: [[Double]]?

  private enum CodingKeys: String, CodingKey { case x, y, loss, accuracy }

  init(from decoder: any Decoder) throws {
    images = try RecordedImages(from: decoder)
    let values = try decoder.container(keyedBy: CodingKeys.self)
    x = try values.decode([Double].self, forKey: .x)
    y = try values.decodeIfPresent([Double].self, forKey: .y)
    loss = try values.decode([[Double]].self, forKey: .loss)
    accuracy = try values.decodeIfPresent([[Double]].self, forKey: .accuracy)
  }
}

/// The parts of a `sat-evaluation/1` document that a report shows.
struct RecordedEvaluation: Decodable {
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
  var warnings: [Warning]

  /// Whether each attack was counted alone rather than after those before it.
  var isIndividual: Bool { version == AttackNames.individual }

  private enum AttackNames { static let individual = "individual" }
}

/// A `sat-hessian/1` document.
struct RecordedHessian: Decodable {
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
    var approximations: [String: [Double]]?
    var spearman: [String: Double?]?
  }

  var loss: Double?
  var gradientNorm: Double?
  var parameters: Int?
  var samples: Int?
  var eigenvalues: [Eigenvalue]?
  var trace: Trace?
  var density: Density?
  var perSample: PerSample?
}

/// A `sat-landscape/1` document: the loss over a grid in the plane of two directions in weight space, or along one.
struct RecordedLandscape: Decodable {
  static let format = "sat-landscape/1"

  /// Positions along the directions; `y` is absent in one dimension.
  var x: [Double]
  var y: [Double]?
  /// A row for each `y`, a value for each `x`; one row in one dimension.
  var loss: [[Double]]
}

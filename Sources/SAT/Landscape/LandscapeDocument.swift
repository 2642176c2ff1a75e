public import SwiftTorch

/// The JSON document of `sat landscape`, `sat-landscape/1`.
public struct LandscapeDocument: MeasurementDocument {
  public static let format = "sat-landscape/1"
  public static var remedy: String { "make it again with `sat landscape`" }

  /// The rule for the directions, which are too large for a document.
  public struct Directions: Codable, Sendable, Equatable {
    public var count: Int
    /// The rule of `LandscapeDirection.orthogonal`, in words.
    public var scheme =
      "normal draws of a CPU generator (mt19937), parameter by parameter in the model's order, one direction after the other; "
      + "each filter orthogonal to the earlier directions' and as long as the weights' filter"
    public var vectors: String
    public var seed: UInt64
  }

  public private(set) var format: String = Self.format
  public var model: String
  public var data: ImageDataset.Summary
  /// "clean", "fixed" or "reattack".
  public var examples: String
  public var perturbation: InnerMaximizer.Summary?
  public var seed: UInt64
  /// Always fp32, because bfloat16 is too coarse for the shape of a loss; absent in early documents.
  public var precision: Execution.Precision? = .fp32
  /// The device of the model, such as "cpu" or "cuda:0"; absent in early documents.
  public var device: String?
  /// Absent in early documents.
  public var directions: Directions?
  /// The positions along the first direction.
  public var x: [Double]
  /// The positions along the second direction; nil for a curve.
  public var y: [Double]?
  /// The loss, one row per position along the second direction; one row for a curve.
  public var loss: [[Double]]
  public var accuracy: [[Double]]
  public var seconds: Double
  public var versions: [String: String]

  /// Creates the document from the values at every point of the grid, by the point's number; `seed` is that of the
  /// directions and the attack.
  public init(
    _ landscape: LossLandscape, _ values: [Int: LossLandscape.Value], model: String, data: ImageDataset, examples: String,
    perturbation: InnerMaximizer?, vectors: LandscapeDirection.Vectors, seed: UInt64, seconds: Double,
    device: String = "cpu"
  ) {
    self.device = device
    self.model = model
    self.data = data.summary
    self.examples = examples
    self.perturbation = perturbation?.summary
    self.seed = seed
    self.seconds = seconds
    directions = Directions(count: landscape.axes.count, vectors: vectors.rawValue, seed: seed)
    x = landscape.axes[0].positions
    y = landscape.axes.count > 1 ? landscape.axes[1].positions : nil
    let width = x.count
    func rows(_ value: (LossLandscape.Value) -> Double) -> [[Double]] {
      (0..<landscape.count / width).map { row in (0..<width).map { value(values[row * width + $0]!) } }
    }
    loss = rows(\.loss)
    accuracy = rows(\.accuracy)
    versions = ["sat": SATVersion.current, "libtorch": Torch.version]
  }

  public var inconsistency: String? {
    for (name, positions) in [("x", x), ("y", y ?? [0])] {
      guard positions.allSatisfy(\.isFinite), !positions.isEmpty else {
        return "\(name) is empty or has a position that is not a finite number"
      }
    }
    for (name, rows) in [("loss", loss), ("accuracy", accuracy)] {
      guard rows.count == y?.count ?? 1 else { return "\(name) has \(rows.count) rows at \(y?.count ?? 1) positions" }
      for (i, row) in rows.enumerated() where row.count != x.count {
        return "\(name)[\(i)] has \(row.count) values at \(x.count) positions"
      }
    }
    return nil
  }

  /// The landscape as CSV, one line per point: x, y for a surface, loss, accuracy.
  public var csv: String {
    var lines = [y == nil ? "x,loss,accuracy" : "x,y,loss,accuracy"]
    for (row, losses) in loss.enumerated() {
      for (column, value) in losses.enumerated() {
        lines.append("\(x[column]),\(y.map { "\($0[row])," } ?? "")\(value),\(accuracy[row][column])")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Returns loss and accuracy, [rows, columns], and the positions x and y, all float64.
  public func tensors() -> NamedTensors {
    [("loss", Tensor(loss)), ("accuracy", Tensor(accuracy)), ("x", Tensor(x))] + (y.map { [("y", Tensor($0))] } ?? [])
  }
}

extension LandscapeJob.Result {
  public var document: LandscapeDocument {
    LandscapeDocument(
      landscape, values, model: job.model.name, data: job.data, examples: job.examples.name,
      perturbation: job.examples.perturbation?.maximizer, vectors: job.vectors, seed: job.seed, seconds: seconds,
      device: "\(job.model.device)")
  }
}

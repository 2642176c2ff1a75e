public import SwiftTorch

/// The JSON document of `sat landscape`, `sat-landscape/1`.
public struct LandscapeReport: Encodable, Sendable {
  public var format = "sat-landscape/1"
  public var model: String
  public var data: HessianReport.Data
  /// "clean", "fixed" or "reattack".
  public var examples: String
  public var perturbation: HessianReport.Perturbation?
  public var seed: UInt64
  public var directions: Directions
  /// Positions along the first direction, and the second where there is one.
  public var x: [Double]
  public var y: [Double]?
  /// A row per position along the second direction; one row without.
  public var loss: [[Double]]
  public var accuracy: [[Double]]
  public var seconds: Double
  public var versions: [String: String]

  /// What the directions are made again from; they are as large as the weights, so they are not in the document.
  public struct Directions: Encodable, Sendable {
    public var count: Int
    /// How `LandscapeDirection.orthogonal` makes them.
    public var scheme = "normal draws of a CPU generator (mt19937), parameter by parameter in the model's order, one direction after the "
      + "other; each filter orthogonal to the earlier directions' and as long as the weights' filter"
    public var vectors: String
    public var seed: UInt64
  }

  /// - Parameters:
  ///   - values: of every point of the grid.
  ///   - vectors: as the directions were made.
  ///   - seed: of the directions and the attack.
  public init(
    _ landscape: LossLandscape, _ values: [Int: LossLandscape.Value], model: String, data: ImageDataset, examples: String,
    perturbation: InnerMaximizer?, vectors: LandscapeDirection.Vectors, seed: UInt64, seconds: Double
  ) {
    self.model = model
    self.data = HessianReport.Data(name: data.name, split: data.split, samples: data.count)
    self.examples = examples
    self.perturbation = perturbation.map(HessianReport.Perturbation.init)
    self.seed = seed
    directions = Directions(count: landscape.axes.count, vectors: vectors.rawValue, seed: seed)
    x = landscape.axes[0].positions
    y = landscape.axes.count > 1 ? landscape.axes[1].positions : nil
    let width = x.count
    func rows(_ value: (LossLandscape.Value) -> Double) -> [[Double]] {
      (0..<landscape.count / width).map { row in (0..<width).map { value(values[row * width + $0]!) } }
    }
    loss = rows(\.loss)
    accuracy = rows(\.accuracy)
    self.seconds = seconds
    versions = ["sat": SATVersion.current, "libtorch": Torch.version]
  }

  /// A line a point: x, y where there is one, loss, accuracy.
  public var csv: String {
    var lines = [y == nil ? "x,loss,accuracy" : "x,y,loss,accuracy"]
    for (row, losses) in loss.enumerated() {
      for (column, value) in losses.enumerated() {
        lines.append("\(x[column]),\(y.map { "\($0[row])," } ?? "")\(value),\(accuracy[row][column])")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// loss and accuracy [rows, columns] and the positions x and y, all float64.
  public func tensors() -> NamedTensors {
    [("loss", Tensor(loss)), ("accuracy", Tensor(accuracy)), ("x", Tensor(x))] + (y.map { [("y", Tensor($0))] } ?? [])
  }

  /// The text for a person.
  public var text: String {
    let all = loss.flatMap { $0 }
    let at = perturbation.map { ", \($0.norm) epsilon \(significant($0.epsilon))" } ?? ""
    let center = zip(loss, y ?? [0]).min { abs($0.1) < abs($1.1) }.map { row in zip(row.0, x).min { abs($0.1) < abs($1.1) }!.0 } ?? .nan
    let rows = [
      ["", "loss"], ["nearest to the model", significant(center)], ["smallest", significant(all.min()!)],
      ["largest", significant(all.max()!)],
    ]
    return
      "\(model) on \(data.samples) \(data.split == "file" ? "" : data.split + " ")images of \(data.name); \(examples) examples\(at); "
      + "\(all.count) points\n\n" + TextTable(rows).description
  }
}

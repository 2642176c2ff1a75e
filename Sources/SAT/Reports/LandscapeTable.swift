/// The text `sat landscape` prints for a person.
public struct LandscapeTable: CustomStringConvertible {
  private let document: LandscapeDocument

  public init(_ document: LandscapeDocument) { self.document = document }

  public var description: String {
    let all = document.loss.flatMap { $0 }
    let at = document.perturbation.map { ", \($0.norm.rawValue) epsilon \(significant($0.epsilon))" } ?? ""
    let rows = [
      ["", "loss"], ["nearest to the model", significant(center)], ["smallest", significant(all.min()!)],
      ["largest", significant(all.max()!)],
    ]
    return "\(document.model) on \(document.data); \(document.examples) examples\(at); \(all.count) points\n\n"
      + TextTable(rows).description
  }

  /// The loss at the point nearest to the weights.
  private var center: Double {
    let row = zip(document.loss, document.y ?? [0]).min { abs($0.1) < abs($1.1) }?.0 ?? []
    return zip(row, document.x).min { abs($0.1) < abs($1.1) }?.0 ?? .nan
  }
}

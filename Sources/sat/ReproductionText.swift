import SAT

extension ReproductionResult {
  /// One table per setting, with our numbers and the paper's.
  var text: String {
    var text = ""
    for change in changes {
      let figures = figures.filter { $0.setting == change.setting }
      text += "\(item), \(change.setting), scale \(scale)\n"
      text += change.changes.isEmpty ? "  the paper's setting\n" : change.changes.map { "  changed: \($0)\n" }.joined()
      let quantities = figures.map(\.quantity).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
      text += (quantities.count <= 3 ? pivoted(figures, quantities) : listed(figures)) + "\n"
    }
    return text
  }

  private func pivoted(_ figures: [Figure], _ quantities: [String]) -> String {
    let methods = figures.map(\.method).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    let hasPaper = figures.contains { $0.paper != nil }
    let rows = methods.map { method in
      [method]
        + quantities.flatMap { quantity in
          let figure = figures.first { $0.method == method && $0.quantity == quantity }
          return [figure.map(Self.ours) ?? ""] + (hasPaper ? [figure.map(Self.papers) ?? ""] : [])
        }
    }
    return TextTable([["method"] + quantities.flatMap { [$0] + (hasPaper ? ["paper"] : []) }] + rows).description
  }

  private func listed(_ figures: [Figure]) -> String {
    let hasPaper = figures.contains { $0.paper != nil }
    let rows = figures.map { [$0.method, $0.quantity, Self.ours($0)] + (hasPaper ? [Self.papers($0)] : []) }
    return TextTable([["method", "quantity", "here"] + (hasPaper ? ["paper"] : [])] + rows, leftColumns: 2).description
  }

  private static func ours(_ figure: Figure) -> String {
    guard let low = figure.low, let high = figure.high else { return text(figure.value, figure) }
    return "\(text(figure.value, figure)) (\(text(low, figure)) – \(text(high, figure)))"
  }

  private static func papers(_ figure: Figure) -> String { figure.paper.map { text($0, figure) } ?? "" }

  private static func text(_ value: Double, _ figure: Figure) -> String {
    figure.isAccuracy ? decimal(value, 2) : significant(value)
  }
}

extension ReproductionListing {
  /// The plan's changes, its runs with their finished epochs, and the missing data.
  var text: String {
    var text = "\(item), scale \(scale); results go to \(results)\n"
    for change in changes {
      text += "\(change.setting): \(change.changes.isEmpty ? "the paper's setting" : change.changes.joined(separator: "; "))\n"
    }
    guard !runs.isEmpty else { return text + "nothing is trained\n" }
    let rows = runs.map { [$0.setting, $0.method, "\($0.epochsDone)/\($0.epochs)", $0.folder] }
    return text + TextTable([["setting", "method", "epochs", "folder"]] + rows, leftColumns: 4).description
      + missingData.map { "missing: \($0)\n" }.joined()
  }
}

/// A JSON document of one of the commands, as a report reads it.
protocol RecordedDocument: Decodable {
  static var format: String { get }
  /// What does not belong together, as of a document that was cut or edited; nil for a whole one.
  ///
  /// Charts take for granted what is looked at here.
  var inconsistency: String? { get }
}

/// Any JSON: decoding it tells whether a text is whole.
struct AnyJSON: Decodable { init(from decoder: any Decoder) {} }

extension RecordedEvaluation {
  var inconsistency: String? {
    let samples = data.samples
    guard Limit.samples.contains(samples) else { return "it is of \(samples) samples" }
    func count(_ name: String, _ value: Int) -> String? {
      (0...samples).contains(value) ? nil : "\(name) counts \(value) of \(samples) samples"
    }
    for (name, proportion) in [("clean", clean), ("robust", robust)] {
      guard let proportion else { continue }
      if let wrong = count(name, proportion.correct) { return wrong }
      if proportion.interval.count != 2 { return "\(name).interval has \(proportion.interval.count) ends" }
    }
    for attack in attacks { if let wrong = count(attack.name, attack.robust) { return wrong } }
    if attacks.isEmpty != (robust == nil) { return attacks.isEmpty ? "robust has no attacks" : "its attacks have no robust" }
    for entry in perClass {
      for value in [entry.samples, entry.clean, entry.robust] { if let wrong = count("class \(entry.class)", value) { return wrong } }
      if max(entry.clean, entry.robust) > entry.samples { return "class \(entry.class) counts more than its \(entry.samples) samples" }
    }
    let classed = perClass.reduce(0) { $0 + $1.samples }
    if classed != samples { return "perClass has \(classed) of \(samples) samples" }
    guard let flags else { return nil }
    for name in ["clean"] + attacks.map(\.name) + (robust == nil ? [] : ["robust"]) where flags[name] == nil { return "flags.\(name) is missing" }
    for (name, values) in flags.sorted(by: { $0.key < $1.key }) where values.count != samples {
      return "flags.\(name) has \(values.count) of \(samples) samples"
    }
    return nil
  }
}

extension RecordedHessian {
  var inconsistency: String? {
    if let density {
      guard density.grid.count == density.values.count else {
        return "density has \(density.values.count) values at \(density.grid.count) positions"
      }
      guard density.grid.allSatisfy(\.isFinite), !density.grid.isEmpty else { return "density.grid has positions that are no numbers, or none" }
    }
    guard let perSample else { return nil }
    let count = perSample.eigenvalues.count
    if let samples, samples != count { return "perSample has \(count) eigenvalues of \(samples) samples" }
    let lists = [("residuals", perSample.residuals?.count), ("converged", perSample.converged?.count)]
    let scores = (perSample.approximations ?? [:]).sorted { $0.key < $1.key }.map { ("approximations.\($0.key)", Optional($0.value.count)) }
    for case let (name, length?) in lists + scores where length != count {
      return "perSample.\(name) has \(length) values for \(count) eigenvalues"
    }
    return nil
  }
}

extension RecordedLandscape {
  var inconsistency: String? {
    for (name, positions) in [("x", x), ("y", y ?? [0])] {
      guard positions.allSatisfy(\.isFinite), !positions.isEmpty else { return "\(name) has positions that are no numbers, or none" }
    }
    for case let (name, rows?) in [("loss", Optional(loss)), ("accuracy", accuracy)] {
      guard rows.count == y?.count ?? 1 else { return "\(name) has \(rows.count) rows at \(y?.count ?? 1) positions" }
      for (i, row) in rows.enumerated() where row.count != x.count {
        return "\(name)[\(i)] has \(row.count) values at \(x.count) positions"
      }
    }
    return nil
  }
}

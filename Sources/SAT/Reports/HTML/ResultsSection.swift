internal import Foundation

/// The top of the page: accuracies with intervals, how somebody got them, and warnings.
extension Report {
  var resultsSection: ReportSection {
    var section = ReportSection(id: "results")
    let warnings = runs.map(\.warnings)
    var texts: [String] = []
    for text in warnings.joined() where !texts.contains(text) { texts.append(text) }
    section.notes = texts.map { text in
      let names = zip(runs, warnings).filter { $1.contains(text) }.map(\.0.name)
      return areSeveral ? "\(names.joined(separator: ", ")): \(text)" : text
    }
    let headlines = runs.map(\.headline)
    func text(_ share: EvaluationDocument.Proportion) -> String {
      "\(percent(share.accuracy))\n95\u{A0}% interval \(share.range)\u{A0}%"
    }
    let facts: [(name: String, text: (RunRecord, Headline?) -> String?)] = [
      ("clean accuracy", { $1.map { text($0.clean) } }), ("robust accuracy", { $1.map { text($0.robust) } }),
      ("attack", { $1?.attack }),
      ("radius", { $1?.radius ?? $0.radius }), ("images", { $1?.images }), ("method", { run, _ in run.setting("method") }),
      ("network", { run, _ in run.setting("model.name").map { "\($0), on \(run.setting("data") ?? "its data")" } }),
      ("best epoch", { run, _ in run.best.map { "\($0.epoch + 1)\nof \(run.epochs.count), by robust accuracy on validation" } }),
      ("trained", { run, _ in run.time }), ("machine", { run, _ in run.machine }), ("seed", { run, _ in run.setting("seed") }),
    ]
    let rows = facts.map { fact in [fact.name] + zip(runs, headlines).map { fact.text($0, $1) ?? "" } }
    section.tables = [
      .init(
        caption: areSeveral ? "The runs" : "The run",
        rows: [["result"] + runs.map(\.name)] + rows.filter { $0.dropFirst().contains { !$0.isEmpty } })
    ].filter { $0.rows.count > 1 }
    section.commands = runs.compactMap { run in
      run.trainingCommand.map { ("Train \(areSeveral ? run.name : "it") again", "\($0) --run \(shellWord(run.path + "-again"))") }
    }
    return section
  }
}

/// The accuracies of one run at the top of a page.
typealias Headline = (
  clean: EvaluationDocument.Proportion, robust: EvaluationDocument.Proportion, attack: String, radius: String?, images: String
)

extension RunRecord {
  /// The strongest evaluation: AutoAttack before other attacks, then the most images, then the lowest robust accuracy. Without an
  /// evaluation under attack, the validation of the best epoch.
  var headline: Headline? {
    let strongest = evaluations.map(\.contents).filter { $0.robust != nil }.min { a, b in
      if a.isAutoAttack != b.isAutoAttack { return a.isAutoAttack }
      if a.data.samples != b.data.samples { return a.data.samples > b.data.samples }
      return a.robust!.accuracy < b.robust!.accuracy
    }
    if let strongest {
      let radius = strongest.threat.map(Report.text)
      return (strongest.clean, strongest.robust!, strongest.attackText, radius, "\(strongest.data)")
    }
    guard let validation = best?.validation, Limit.samples.contains(validation.samples) else { return nil }
    func share(_ value: Double) -> EvaluationDocument.Proportion {
      let part = (0...1).contains(value) ? value : 0
      return .init(Int((part * Double(validation.samples)).rounded()), of: validation.samples)
    }
    let attack = "PGD of training, \(setting("attack.steps") ?? "unknown") steps"
    return (share(validation.clean), share(validation.robust), attack, nil, "\(validation.samples) validation images")
  }

  /// Facts that put the numbers in doubt, in plain words.
  var warnings: [String] {
    var warnings: [String] = []
    // `sat reproduce` keeps the runs of a scale in a folder of its name.
    if URL(fileURLWithPath: path).standardizedFileURL.deletingLastPathComponent().lastPathComponent == "smoke" {
      warnings.append("Smoke scale: the numbers mean nothing. The run only shows that everything works.")
    }
    if let epochs = setting("epochs").flatMap({ Int($0) }), self.epochs.count < epochs {
      let command = "sat train --run \(shellWord(path)) --resume"
      warnings.append("The training stopped after epoch \(self.epochs.count) of \(epochs). `\(command)` continues it.")
    }
    if let epoch = epochs.first(where: { !$0.train.loss.isFinite }) {
      warnings.append("The training loss is not a number in epoch \(epoch.epoch + 1), so the network learned nothing after that.")
    }
    if let final = setting("lambda.final").flatMap({ Double($0) }), let last = epochs.last?.lambda, last < final {
      warnings.append("λ ended at \(significant(last)) of \(significant(final)), so training never reached full difficulty.")
    }
    if let headline {
      let isNamed = evaluations.contains { $0.contents.warnings.contains { $0.code == .inputRange } }
      if !isNamed, classCount > 1, headline.clean.interval[0] <= 1 / Double(classCount) {
        warnings.append("The network is no better than guessing among \(classCount) classes, so its robust accuracy means nothing.")
      }
      let width = percentage(headline.robust.interval[1] - headline.robust.interval[0])
      let images = "The robust accuracy comes from \(headline.images), so"
      if width > 10 { warnings.append("\(images) its 95 % interval is \(decimal(width, 0)) points wide.") }
    }
    if evaluations.allSatisfy({ $0.contents.robust == nil }) {
      let source = headline == nil ? "" : " The accuracies are those of validation, and AutoAttack is stronger."
      warnings.append("Nobody has evaluated this run under attack.\(source)")
    } else if !evaluations.contains(where: \.contents.isAutoAttack) {
      warnings.append("No evaluation ran AutoAttack. Weaker attacks overstate how robust a network is.")
    }
    for evaluation in evaluations { warnings += evaluation.contents.warnings.map { "\(evaluation.name): \($0.message)." } }
    return warnings + unreadable.map { "\($0.path) \($0.reason), so the page leaves it out. Restore the file, or make it again." }
  }

  /// The number of classes in the data of an evaluation or of the network; 0 if neither is known.
  private var classCount: Int {
    if let count = evaluations.map(\.contents.perClass.count).max() { return count }
    return (try? ConfigurationFile.read(RunFolder(path).configurationPath).model.resolvedOptions()["classes"]) ?? 0
  }

  /// The end of the training, and how long the epochs took as small print.
  fileprivate var time: String? {
    guard let last = epochs.last, last.time.isFinite, abs(last.time) < 1e11 else { return nil }
    let seconds = epochs.reduce(0) { $0 + $1.seconds }
    let isLong = seconds.isFinite && seconds >= 60 && seconds < 1e9
    let duration = isLong ? "\(Int(seconds) / 60) min \(Int(seconds) % 60)" : decimal(seconds, 1)
    let end = Date(timeIntervalSince1970: last.time).formatted(.iso8601).replacing("T", with: " ").replacing("Z", with: " UTC")
    return "\(end)\n\(duration) s of training, without validation"
  }

  fileprivate var radius: String? {
    setting("threat.epsilon").map { "\($0) in \(setting("threat.norm").map(Report.word) ?? "its norm")" }
  }

  /// The machines in the order in which they trained.
  fileprivate var machine: String? {
    let machines = epochs.compactMap(\.machine)
    let names = machines.indices.filter { $0 == 0 || machines[$0 - 1] != machines[$0] }.map { machines[$0] }
    return names.isEmpty ? nil : names.joined(separator: ", then ")
  }
}

extension EvaluationDocument {
  /// True if every attack of a version of AutoAttack ran.
  var isAutoAttack: Bool {
    guard let ensemble = version.map(AutoAttack.ensemble), !ensemble.isEmpty else { return false }
    return ensemble.allSatisfy { entry in attacks.contains { $0.name == entry.name } }
  }

  /// The attacks in words: "AutoAttack, version standard" or "PGD, 10 steps".
  var attackText: String {
    if isAutoAttack { return "AutoAttack, version \(version!)" }
    return attacks.map { attack in
      attack.name.uppercased() + (attack.parameters?.steps.map { $0 == 1 ? "" : ", \($0) steps" } ?? "")
        + (attack.parameters?.restarts.map { $0 == 1 ? "" : ", \($0) restarts" } ?? "")
    }.joined(separator: "; ")
  }
}

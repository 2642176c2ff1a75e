internal import Foundation

/// The settings, the commands that made the runs, and the source files.
extension Report {
  /// The table of all settings. For one run, those of the preset are hidden at first; for several runs, those that are equal.
  var configurationSection: ReportSection {
    var keys: [String] = []
    for run in runs { keys += run.settings.map(\.key).filter { !keys.contains($0) } }
    let defaults = runs[0].presetSettings ?? [:]
    var rows = [["setting"] + runs.map(\.name)]
    var same: Set<Int> = []
    for (i, key) in keys.enumerated() {
      let values = runs.map { $0.setting(key) ?? "–" }
      if areSeveral ? Set(values).count == 1 : defaults[key] == values[0] { same.insert(i) }
      rows.append([key] + values)
    }
    let rest = areSeveral ? "that differ between the runs" : "that differ from the preset"
    let caption = "\(keys.count - same.count) of \(keys.count) settings \(rest), from config.yaml"
    return ReportSection(id: "configuration", tables: keys.isEmpty ? [] : [.init(caption: caption, rows: rows, same: same)])
  }

  /// The table of the source files.
  var sourceSection: ReportSection {
    let rows = runs.flatMap { run in run.sources.map { [$0.path, "\($0.bytes)", $0.modified.formatted(.iso8601)] } }
    return ReportSection(
      id: "sources", tables: [.init(caption: "The files that were read", rows: [["file", "bytes", "changed"]] + rows)])
  }

  /// The commands that make the missing parts.
  var missingSection: ReportSection {
    ReportSection(
      id: "missing",
      commands: omissions.map { ($0.what + (areSeveral ? " (of \($0.runs.joined(separator: ", ")))" : ""), $0.command) })
  }

  /// Returns the start of a command that measures a run's training images. Data without splits need no option.
  private static func measure(_ command: String, _ run: RunRecord) -> String {
    let hasParts = run.setting("data").map { DataSource($0).hasParts } ?? true
    return "sat \(command) \(shellWord(run.path))\(hasParts ? " --split train" : "") --first 128"
  }

  /// Returns the runs that lack data, with the command for the first of them; nil if no run lacks them.
  private func omission(_ what: String, lacking: (RunRecord) -> Bool, command: (RunRecord) -> String) -> ReportOmission? {
    let without = runs.filter(lacking)
    return without.first.map { ReportOmission(what: what, runs: without.map(\.name), command: command($0)) }
  }

  /// The parts that the report omits because their data are missing.
  public var omissions: [ReportOmission] {
    [
      omission("The curves of training", lacking: \.epochs.isEmpty) { "sat train --run \(shellWord($0.path)) --resume" },
      omission("Robustness", lacking: { $0.evaluations.isEmpty && !$0.hasUnreadable("evaluation") }) {
        "sat evaluate \(shellWord($0.path)) --attack autoattack --json-file \(shellWord($0.path + "/evaluation-autoattack.json"))"
      },
      omission("Adversarial images", lacking: { $0.images.isEmpty && !$0.hasUnreadable("adversarial") }) {
        "sat evaluate \(shellWord($0.path)) --first 100 --save \(shellWord($0.path + "/adversarial.safetensors"))"
      },
      omission("Smoothness during training", lacking: { run in !run.epochs.contains { $0.smoothness != nil } }) {
        "\($0.trainingCommand ?? "sat train digits") --track-smoothness 5 --run \(shellWord($0.path + "-smoothness"))"
      },
      omission("The Hessian", lacking: { $0.hessians.isEmpty && !$0.hasUnreadable("hessian") }) {
        "\(Self.measure("hessian", $0)) --at adversarial --top 5 --trace --density --per-sample --approximations "
          + "--json-file \(shellWord($0.path + "/hessian.json"))"
      },
      omission("The loss landscape", lacking: { $0.landscapes.isEmpty && !$0.hasUnreadable("landscape") }) {
        "\(Self.measure("landscape", $0)) --points 15 --json-file \(shellWord($0.path + "/landscape.json"))"
      },
    ].compactMap { $0 }
  }
}

extension RunRecord {
  /// The settings of the run's preset for the run's method; nil if either is unknown.
  var presetSettings: [String: String]? {
    guard let preset = setting("preset"), let method = setting("method"),
      let configuration = try? Presets.configuration(named: preset, method: method),
      let settings = try? Self.settings(in: ConfigurationFile.text(configuration), path: preset)
    else { return nil }
    return Dictionary(uniqueKeysWithValues: settings)
  }

  /// The command that trains with the run's settings, without its folder; nil if the preset is unknown.
  var trainingCommand: String? {
    guard let defaults = presetSettings, let preset = setting("preset"), let method = setting("method") else { return nil }
    let changes = settings.filter { defaults[$0.key] != $0.value && !["preset", "method"].contains($0.key) }.map { key, value in
      // These settings belong together, so a change replaces all of them.
      guard let group = ["lambda.", "model.options."].first(where: key.hasPrefix) else { return "\(key)=\(value)" }
      let own = settings.filter { $0.key.hasPrefix(group) }.map { "\($0.key.dropFirst(group.count)): \($0.value)" }
      return "\(group.dropLast())={\(own.joined(separator: ", "))}"
    }
    let unique = changes.indices.filter { !changes[..<$0].contains(changes[$0]) }.map { " --set \(shellWord(changes[$0]))" }
    return "sat train \(preset) --method \(method)" + unique.joined()
  }
}

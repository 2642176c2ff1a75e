import ArgumentParser
import SAT
import SwiftTorch

struct ModelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models", abstract: "List the networks that sat knows.",
    discussion: """
      `sat evaluate` also reads any other network from a TorchScript archive.

      EXAMPLES:
        sat models
        sat models --json
        sat evaluate cnn.pth --model cnn-a --model-option channels=1 --data mnist \\
          --epsilon 0.1
      """)

  @OptionGroup var output: OutputOptions

  private struct Listing: Encodable {
    var format = "sat-models/1"
    var models: [Entry]
  }

  private struct Entry: Encodable {
    var name: String
    var summary: String
    var parameters: Int
    var inputShape: [Int]
    /// The default of each option.
    var options: [String: Int]
    /// The accepted values of an option; an option that accepts every number is absent.
    var values: [String: [Int]]

    /// The options as in `classes=10 channels=3|1`, each default first.
    var optionText: String {
      options.sorted { $0.key < $1.key }.map { key, value in
        let others = (values[key] ?? []).filter { $0 != value }
        return "\(key)=\(value)" + (others.count > 4 ? "|…" : others.map { "|\($0)" }.joined())
      }.joined(separator: " ")
    }
  }

  func run() throws {
    try output.begin("listing the networks")
    let entries = try NetworkCatalog.entries.map { entry in
      let architecture = Architecture(name: entry.name)
      return Entry(
        name: entry.name, summary: entry.summary,
        parameters: try Initialization.skipping { () throws(SATError) in try architecture.make(generator: Generator(seed: 0)) }
          .parameterCount, inputShape: try architecture.inputShape(), options: entry.defaults, values: entry.allowed)
    }
    let rows = entries.map { entry in
      let input = entry.inputShape.map(String.init).joined(separator: "x")
      return [entry.name, entry.summary, entry.optionText, input, "\(entry.parameters)"]
    }
    let table = TextTable([["model", "", "options", "input", "parameters"]] + rows, leftColumns: 3)
    try output.deliver(Listing(models: entries), text: table.description)
  }
}

import ArgumentParser
import SAT
import SwiftTorch

struct ModelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List the networks sat knows.",
    discussion: "Any other network can be evaluated as a TorchScript archive.")

  @OptionGroup var output: OutputOptions

  private struct Entry: Encodable {
    var name: String
    var summary: String
    var parameters: Int
    var inputShape: [Int]
    var options: [String: Int]
  }

  func run() throws {
    let entries = try NetworkCatalog.entries.map { entry in
      let architecture = Architecture(name: entry.name)
      return Entry(
        name: entry.name, summary: entry.summary,
        parameters: try architecture.make(generator: Generator(seed: 0)).parameterCount,
        inputShape: try architecture.inputShape(), options: entry.defaults)
    }
    var rows = [["model", "", "options", "input", "parameters"]]
    for entry in entries {
      let options = entry.options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
      rows.append([
        entry.name, entry.summary, options, entry.inputShape.map(String.init).joined(separator: "x"), "\(entry.parameters)",
      ])
    }
    try output.deliver(entries, text: TextTable(rows, leftColumns: 3).description)
  }
}

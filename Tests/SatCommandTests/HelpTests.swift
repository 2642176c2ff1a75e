import Foundation
import Testing

/// The help of every command, as a terminal of 80 columns shows it.
@Suite struct HelpTests {
  /// Returns the help texts by command, found from the list of subcommands in each text.
  private static func texts() throws -> [String: String] {
    var texts: [String: String] = [:]
    func read(_ command: [String]) throws {
      try #require(command.count < 4, "\(command)")
      let outcome = try Command.run(["help"] + command, environment: ["COLUMNS": "80"])
      try #require(outcome.status == 0, "\(outcome.errors)")
      texts[command.joined(separator: " ")] = outcome.output
      let listed = outcome.output.split(separator: "\n").drop { !$0.hasPrefix("SUBCOMMANDS:") }.dropFirst().prefix {
        $0.hasPrefix("  ")
      }
      // A listed name has two spaces before it; the rest of a description has more. The last line says "See 'sat help …'".
      for line in listed where line.prefix(3) != "   " && !line.hasPrefix("  See ") {
        try read(command + [String(line.split(separator: " ")[0])])
      }
    }
    try read([])
    return texts
  }

  @Test func examplesFitTheTerminalAndCanBeCopied() throws {
    let texts = try Self.texts()
    #expect(texts.count >= 15, "\(texts.keys.sorted())")
    var examples = 0
    for (command, text) in texts {
      #expect(!text.contains("Examples:") && !text.contains("Example:"), "\(command): the heading is EXAMPLES:")
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).drop { $0 != "EXAMPLES:" }.dropFirst().prefix {
        !$0.isEmpty
      }
      for (line, before) in zip(lines, [""] + lines.dropLast()) {
        examples += 1
        #expect(line.count < 80, "\(command): \(line)")
        // The rest of a command follows a backslash and is indented. A line that the help itself broke is neither.
        let starts = before.hasSuffix(" \\") ? ["    "] : ["  sat ", "  python "]
        #expect(starts.contains { line.hasPrefix($0) }, "\(command): \(line)")
      }
      #expect(lines.last?.hasSuffix("\\") != true, "\(command)")
    }
    #expect(examples > 30)
  }
}

/// Text and tables in HTML.
enum HTML {
  /// Escapes the characters that have a meaning in HTML.
  static func escape(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  /// Returns text as HTML, with `backticks` as code.
  static func prose(_ text: String) -> String {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated().map { i, part in
      i % 2 == 0 ? escape(String(part)) : "<code>\(escape(String(part)))</code>"
    }.joined()
  }

  /// Returns a table. The first row is the heading, and the first column names the rows.
  ///
  /// - Parameter marked: Highlighted rows, 0-based, without the heading.
  static func table(_ rows: [[String]], caption: String, marked: Set<Int> = []) -> String {
    guard let heading = rows.first else { return "" }
    let head = heading.map { "<th scope=\"col\">\(escape($0))</th>" }.joined()
    let body = rows.dropFirst().enumerated().map { i, row in
      let cells = row.enumerated().map { j, cell in j == 0 ? "<th scope=\"row\">\(escape(cell))</th>" : "<td>\(escape(cell))</td>" }
      return "<tr\(marked.contains(i) ? " class=\"marked\"" : "")>\(cells.joined())</tr>"
    }
    return """
      <div class="scroll"><table><caption>\(escape(caption))</caption><thead><tr>\(head)</tr></thead>
      <tbody>\(body.joined(separator: "\n"))</tbody></table></div>
      """
  }
}

/// Text on its way into a page.
enum HTML {
  /// The text with everything that HTML gives a meaning replaced.
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

  /// Text in which `backticks` mean code.
  static func prose(_ text: String) -> String {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated().map { i, part in
      i % 2 == 0 ? escape(String(part)) : "<code>\(escape(String(part)))</code>"
    }.joined()
  }

  /// A table whose first row is the heading and whose first column names the rows.
  ///
  /// - Parameter marked: rows (without the heading, 0-based) that are to stand out.
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

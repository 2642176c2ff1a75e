/// Text and tables in HTML.
enum HTML {
  /// Escapes the characters that have a meaning in HTML.
  static func escape(_ text: String) -> String {
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")].reduce(text) { $0.replacing($1.0, with: $1.1) }
  }

  /// Returns text as HTML, with `backticks` as code.
  static func prose(_ text: String) -> String {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated().map { i, part in
      i % 2 == 0 ? escape(String(part)) : "<code>\(escape(String(part)))</code>"
    }.joined()
  }

  /// Returns a table that a keyboard can scroll. Lines after the first of a cell are small print.
  static func table(_ table: ReportSection.Table) -> String {
    let head = table.rows[0].map { "<th scope=\"col\">\(escape($0))</th>" }.joined()
    let body = table.rows.dropFirst().enumerated().map { i, row in
      let cells = row.enumerated().map { j, cell in
        let lines = cell.split(separator: "\n").map { escape(String($0)) }
        let text = ([lines.first ?? ""] + lines.dropFirst().map { "<small>\($0)</small>" }).joined()
        return j == 0 ? "<th scope=\"row\">\(text)</th>" : "<td>\(text)</td>"
      }
      return "<tr\(table.same.contains(i) ? " class=\"same\"" : "")>\(cells.joined())</tr>"
    }
    let caption = escape(table.caption)
    return """
      <p class="caption">\(caption)</p><div class="scroll" role="region" aria-label="\(caption)" tabindex="0"><table>
      <thead><tr>\(head)</tr></thead><tbody>\(body.joined(separator: "\n"))</tbody></table></div>
      """
  }
}

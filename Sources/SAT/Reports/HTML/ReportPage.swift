internal import Foundation

/// A report as one self-contained HTML file, with style, script, Plotly and data inside.
public enum ReportPage {
  /// Returns the page.
  ///
  /// - Parameter plotly: The text of Plotly's JavaScript.
  public static func html(_ report: Report, plotly: String) throws -> String {
    let parts = [
      "title": HTML.escape(report.title), "style": text(PackageResources.report_css), "contents": contents(report),
      "data": try data(report), "plotly": plotly, "script": text(PackageResources.report_js), "version": SATVersion.current,
    ]
    // One pass over the template, so that inserted text is not searched again.
    return text(PackageResources.report_html).split(separator: "{{", omittingEmptySubsequences: false).enumerated().map {
      i, piece in
      guard i > 0, let end = piece.firstRange(of: "}}") else { return String(piece) }
      return (parts[String(piece[..<end.lowerBound])] ?? "") + piece[end.upperBound...]
    }.joined()
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  /// The data that the script draws.
  struct PageData: Encodable {
    struct Images: Encodable {
      var id: String
      var examples: AdversarialExamples
    }
    var runs: [String]
    var charts: [Chart]
    var images: [Images]
  }

  /// Returns JSON that is safe inside a script element, because it has no `<`.
  private static func data(_ report: Report) throws -> String {
    let images = report.sections.flatMap(\.images).enumerated().map { PageData.Images(id: imagesID($0), examples: $1.examples) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    let json = try encoder.encode(PageData(runs: report.runs.map(\.name), charts: report.charts.map(\.thinned), images: images))
    return String(decoding: json, as: UTF8.self).replacing("<", with: "\\u003c")
  }

  private static func imagesID(_ index: Int) -> String { "images-\(index + 1)" }

  private static func contents(_ report: Report) -> String {
    let links = report.sections.map { "<a href=\"#\($0.id)\">\(HTML.escape($0.title))</a>" }.joined(separator: "\n")
    var imageCount = 0
    let sections = report.sections.map { section in
      var html = "<section id=\"\(section.id)\"><h2>\(HTML.escape(section.title))</h2>\n"
      html += section.notes.map { "<p>\(HTML.prose($0))</p>\n" }.joined()
      html += section.tables.map { HTML.table($0.rows, caption: $0.caption, marked: $0.marked) + "\n" }.joined()
      if !section.charts.isEmpty { html += "<div class=\"charts\">\n" + section.charts.map(figure).joined() + "</div>\n" }
      for images in section.images {
        html += """
          <figure class="images"><h3>\(HTML.escape(images.title))</h3><p>\(HTML.prose(images.note))</p>
          <div class="scroll" id="\(imagesID(imageCount))"></div></figure>

          """
        imageCount += 1
      }
      return html + "</section>\n"
    }
    return "<nav aria-label=\"Sections\">\(links)</nav>\n<main>\n" + sections.joined() + unreadable(report) + omissions(report)
      + "</main>"
  }

  private static func figure(_ chart: Chart) -> String {
    """
    <figure class="chart" id="\(chart.id)"><h3>\(HTML.escape(chart.title))</h3>
    <div class="plot" role="img" aria-label="\(HTML.escape("\(chart.title). The data are in the table below."))"></div>
    <figcaption>\(HTML.prose(chart.thinned.note))</figcaption>
    <details><summary>Data</summary><p><a class="csv" download="\(chart.id).csv">\(chart.id).csv</a></p>\
    <div class="scroll"></div></details></figure>

    """
  }

  private static func unreadable(_ report: Report) -> String {
    guard !report.unreadable.isEmpty else { return "" }
    let items = report.unreadable.map { "<li>\(HTML.escape("\($0.path) \($0.reason)"))</li>" }
    return "<section id=\"unreadable\"><h2>Unreadable</h2><p>These are damaged or of another version, so they are not shown; "
      + "restore them, or make them again.</p><ul>" + items.joined(separator: "\n") + "</ul></section>\n"
  }

  private static func omissions(_ report: Report) -> String {
    guard !report.omissions.isEmpty else { return "" }
    let items = report.omissions.map { omission in
      let runs = report.runs.count > 1 ? " (of \(omission.runs.joined(separator: ", ")))" : ""
      return "<li>\(HTML.escape(omission.what + runs)): <code>\(HTML.escape(omission.command))</code></li>"
    }
    return "<section id=\"missing\"><h2>Not shown</h2><p>These data are not in the run folder; the command makes "
      + "them.</p><ul>\(items.joined(separator: "\n"))</ul></section>\n"
  }
}

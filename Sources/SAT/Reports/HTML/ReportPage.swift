internal import Foundation

/// A report as one self-contained HTML file, with style, script and data inside.
public enum ReportPage {
  /// Returns the page.
  ///
  /// The template holds every section in order, with its title and explanation. A section without contents is left out.
  public static func html(_ report: Report) throws -> String {
    var parts = ["title": HTML.escape(report.title), "version": SATVersion.current, "data": try data(report)]
    (parts["style"], parts["script"]) = (text(PackageResources.report_css), text(PackageResources.report_js))
    var images = 0
    for section in report.sections {
      parts[section.id] = html(section, images: images..<images + section.images.count)
      images += section.images.count
    }
    var template = text(PackageResources.report_html)
    for absent in template.matches(of: /(?s)<section id="(\w+)".*?<\/section>\n/).reversed() where parts[String(absent.1)] == nil {
      template.removeSubrange(absent.range)
    }
    let links = template.matches(of: /<section id="(\w+)"><h2>(.+?)<\/h2>/).map { "<a href=\"#\($0.1)\">\($0.2)</a>" }
    parts["links"] = links.joined(separator: "\n")
    // One pass over the template, so that inserted text is not searched again.
    return template.split(separator: "{{", omittingEmptySubsequences: false).enumerated().map { i, piece in
      guard i > 0, let end = piece.firstRange(of: "}}") else { return String(piece) }
      return (parts[String(piece[..<end.lowerBound])] ?? "") + piece[end.upperBound...]
    }.joined()
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  /// The data that the script draws.
  private struct PageData: Encodable {
    var runs: [String]
    var charts: [Chart]
    var images: [ReportSection.Images]
  }

  /// Returns JSON that is safe inside a script element, because it has no `<`.
  private static func data(_ report: Report) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    let json = try encoder.encode(
      PageData(
        runs: report.runs.map(\.name), charts: report.charts.map(\.thinned), images: report.sections.flatMap(\.images)))
    return String(decoding: json, as: UTF8.self).replacing("<", with: "\\u003c")
  }

  /// Returns a section's tables, places for the charts and images that the script draws, and commands.
  private static func html(_ section: ReportSection, images: Range<Int>) -> String {
    var html = section.notes.isEmpty ? "" : "<ul class=\"notes\">\(items(section.notes.map(HTML.prose)))</ul>\n"
    html += section.tables.map { HTML.table($0) + "\n" }.joined()
    let charts = section.charts.map(\.id).joined(separator: " ")
    if !charts.isEmpty { html += "<div class=\"charts\" data-charts=\"\(charts)\"></div>\n" }
    html += images.map { "<div data-images=\"\($0)\"></div>\n" }.joined()
    let commands = section.commands.map { "\(HTML.escape($0.what)): <code>\(HTML.escape($0.command))</code>" }
    return html + (commands.isEmpty ? "" : "<ul class=\"commands\">\(items(commands))</ul>\n")
  }

  private static func items(_ html: [String]) -> String { html.map { "<li>\($0)</li>" }.joined(separator: "\n") }
}

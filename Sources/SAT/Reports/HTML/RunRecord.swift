internal import Foundation
internal import SwiftTorch
internal import Yams

/// The contents of a run's folder that a report shows.
///
/// Documents and images are recognised by their contents: every JSON file with a known `format` and every safetensors file with an
/// evaluation, directly in the folder.
struct RunRecord {
  /// A document and the name of its file without the ending.
  typealias Document<Contents> = (name: String, contents: Contents)

  /// The path as the user gave it.
  let path: String
  /// The name on the page: the folder's name, made unique by `Report`.
  var name: String
  /// Every setting of `config.yaml` by its key path, in the file's order.
  private(set) var settings: [(key: String, value: String)] = []
  private(set) var epochs: [EpochMetrics] = []
  private(set) var evaluations: [Document<EvaluationDocument>] = []
  private(set) var hessians: [Document<HessianDocument>] = []
  private(set) var landscapes: [Document<LandscapeDocument>] = []
  private(set) var images: [Document<AdversarialExamples>] = []
  /// The source files of the numbers.
  private(set) var sources: [(path: String, bytes: Int, modified: Date)] = []
  private(set) var unreadable: [UnreadableDocument] = []

  func hasUnreadable(_ kind: String) -> Bool { unreadable.contains { $0.isOf(kind) } }

  func setting(_ key: String) -> String? { settings.first { $0.key == key }?.value }

  /// The epoch of the checkpoint `best`: the first with the highest robust accuracy on validation.
  var best: (epoch: Int, validation: EpochMetrics.Validation)? {
    let validated = epochs.compactMap { epoch in epoch.validation.map { (epoch: epoch.epoch, validation: $0) } }
    return validated.filter(\.validation.robust.isFinite).max { $0.validation.robust < $1.validation.robust }
  }

  /// Checks that a path is a run's folder.
  ///
  /// - Throws: An error if the folder is not a run's folder.
  static func check(_ path: String) throws(SATError) {
    let folder = RunFolder(path)
    guard FileManager.default.isFolder(path) else {
      throw SATError("\(path) is not a folder; expected the folder of a run, such as runs/digits-p-sat")
    }
    guard folder.exists || FileManager.default.fileExists(atPath: folder.metricsPath) else {
      throw SATError(
        "\(path) holds no run; expected its config.yaml or metrics.jsonl, so check the path or train one with `sat train`")
    }
  }

  /// Reads a run's folder.
  ///
  /// - Throws: An error if its configuration or metrics cannot be read.
  init(_ path: String) throws {
    self.path = path
    name = URL(fileURLWithPath: path).standardizedFileURL.lastPathComponent
    let folder = RunFolder(path)
    if folder.exists {
      let text = String(decoding: try FileBytes.read(folder.configurationPath, expecting: "a run's file"), as: UTF8.self)
      settings = try Self.settings(in: text, path: folder.configurationPath)
      note(folder.configurationPath)
    }
    // A run has no metrics before the end of its first epoch.
    if Self.facts(folder.metricsPath)?.fileSize ?? 0 > 0 {
      epochs = try EpochMetrics.read(from: folder.metricsPath)
      note(folder.metricsPath)
    }
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    } catch { throw SATError("the folder \(path) cannot be listed (\(SystemError.reason(error))); check its permissions") }
    for name in names {
      do {
        try readDocument(named: name)
      } catch {
        // The report shows the other files and lists this one as unreadable.
        unreadable.append(UnreadableDocument("\(path)/\(name)", error, naming: "\(path)/\(name)"))
      }
    }
    // Saved images hold their evaluation, which counts even if nobody wrote its document.
    for image in images where !evaluations.contains(where: { $0.contents == image.contents.evaluation }) {
      evaluations.append((image.name, image.contents.evaluation))
    }
  }

  private mutating func readDocument(named file: String) throws {
    let filePath = "\(path)/\(file)"
    let name = String(file.prefix { $0 != "." })
    if file.hasSuffix(".safetensors") {
      guard let examples = try AdversarialExamples.read(filePath) else { return }
      images.append((name, examples))
      note(filePath)
      return
    }
    guard file.hasSuffix(".json") else { return }
    let json = try FileBytes.read(filePath, expecting: "a JSON document")
    var stated: String?
    do throws(DocumentFault) {
      let format = try DocumentFormat.stated(by: json)
      stated = DocumentFormat.kind(of: format)
      switch stated {
      case EvaluationDocument.kind: evaluations.append((name, try .whole(json)))
      case HessianDocument.kind: hessians.append((name, try .whole(json)))
      case LandscapeDocument.kind: landscapes.append((name, try .whole(json)))
      default: return
      }
      note(filePath)
    } catch {
      // Valid JSON without a format belongs to another program, unless the file has a document's name.
      let isNamedAsOurs = ["evaluation", "hessian", "landscape"].contains(where: name.hasPrefix)
      if stated != nil || isNamedAsOurs || !JSONText.isWhole(json) {
        unreadable.append(.init(path: filePath, reason: error.reason, kind: stated))
      }
    }
  }

  private mutating func note(_ path: String) {
    let facts = Self.facts(path)
    sources.append((path, facts?.fileSize ?? 0, facts?.contentModificationDate ?? .distantPast))
  }

  private static func facts(_ path: String) -> URLResourceValues? {
    try? URL(fileURLWithPath: path).resourceValues(forKeys: [.fileSizeKey, .contentModificationDateKey])
  }

  /// Returns the file's values by key path. The settings of this version do not matter.
  static func settings(in text: String, path: String) throws -> [(key: String, value: String)] {
    let node: Node?
    do { node = try Yams.compose(yaml: text) } catch {
      throw SATError("\(path) is not YAML; expected a run's configuration, so restore the file")
    }
    func walk(_ node: Node, _ key: String) -> [(key: String, value: String)] {
      guard let mapping = node.mapping, !mapping.isEmpty else { return [(key, flow(node))] }
      return mapping.flatMap { walk($0.value, (key.isEmpty ? "" : "\(key).") + ($0.key.string ?? "")) }
    }
    return node.map { walk($0, "") } ?? []
  }

  /// Returns the node in YAML's one-line style.
  private static func flow(_ node: Node) -> String {
    if let mapping = node.mapping { return "{\(mapping.map { "\(flow($0.key)): \(flow($0.value))" }.joined(separator: ", "))}" }
    return node.sequence.map { "[\($0.map(flow).joined(separator: ", "))]" } ?? node.scalar?.string ?? ""
  }
}

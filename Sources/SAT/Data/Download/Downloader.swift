internal import Foundation

/// An event of a download, for a caller that shows progress.
public enum DownloadEvent: Sendable, Equatable {
  /// `url` began to send the file from byte `offset`.
  case started(url: String, offset: Int64)
  /// The part file has `bytes` of `total` bytes.
  case received(bytes: Int64, total: Int64)
  /// An attempt failed; the downloader asks the same server again after `delay` seconds.
  case retrying(reason: String, delay: Double)
  /// The downloader gives up this server and asks the next one, if any.
  case abandoned(reason: String)
}

/// A downloader of pinned files.
///
/// It resumes after an interruption, checks size and SHA-256, and gives a file its final name only when the file is whole.
public struct Downloader: Sendable {
  /// The limits for repeated attempts. The delay doubles from `firstDelay` up to `longestDelay` seconds.
  public struct Retries: Sendable {
    /// The number of failed attempts in a row without new bytes after which the downloader gives up a server.
    public var withoutProgress = 4
    /// The number of attempts in all; it stops a server that sends only a few bytes each time.
    public var total = 100
    public var firstDelay = 0.5
    public var longestDelay = 8.0

    public init() {}
  }

  /// The result of a fetch.
  public enum Result: Sendable, Equatable {
    case fetched
    /// The whole file was already there.
    case alreadyPresent
  }

  public var retries = Retries()
  /// The seconds without a connection or without data after which an attempt counts as failed.
  public var timeout = 30
  private let environment: [String: String]

  /// Makes a downloader that takes the proxies (`https_proxy`, …) and the search path of `curl` (`PATH`) from the variables of
  /// `environment`; nil means those of the process.
  public init(environment: [String: String]? = nil) { self.environment = environment ?? ProcessInfo.processInfo.environment }

  /// Fetches `file` into the data root unless the whole file is already there.
  ///
  /// The downloader continues the part file of an earlier attempt. It keeps an existing file until it has checked the replacement.
  /// The base address `mirror` replaces the file's own addresses; the downloader appends the file's name. `onEvent` gets the events
  /// in order.
  /// - Throws: `SATError` with the file, the answer of each server, and the remedy.
  @discardableResult public func fetch(
    _ file: RemoteFile, into root: DataRoot, mirror: String? = nil, onEvent: (DownloadEvent) -> Void = { _ in }
  ) throws(SATError) -> Result {
    let urls = try mirror.map { base throws(SATError) in [try Self.address(of: file, below: base)] } ?? file.urls
    let target = root.appending(file.path)
    if file.state(under: root) == .present, try FileDigest.sha256(ofFileAt: target) == file.sha256 { return .alreadyPresent }
    let transfer = CurlTransfer(curl: try findCurl(), environment: environment, timeout: timeout)
    let part = try PartialFile(of: target)
    if part.size > file.size { try part.empty() }

    var reasons: [String] = []
    for url in urls {
      guard let reason = try fetch(file, from: url, into: part, with: transfer, onEvent: onEvent) else {
        try part.commit()
        return .fetched
      }
      reasons.append("\(url) \(reason)")
      onEvent(.abandoned(reason: reasons[reasons.count - 1]))
    }
    let kept: String
    if part.size > 0 {
      kept = "; \(part.size) of \(file.size) bytes are kept in \(part.path) and the next fetch continues there"
    } else {
      part.remove()
      kept = ""
    }
    let advice =
      mirror == nil ? "check the network or name another server with --mirror URL" : "check the address given with --mirror"
    throw SATError("could not fetch \(file.path): \(reasons.joined(separator: "; "))\(kept); \(advice)")
  }

  /// Asks one server again and again; returns nil when the part file is whole and right, else the reason to give up the server.
  private func fetch(
    _ file: RemoteFile, from url: String, into part: PartialFile, with transfer: CurlTransfer, onEvent: (DownloadEvent) -> Void
  ) throws(SATError) -> String? {
    var pace = RetryPace(retries: retries, delay: retries.firstDelay, longest: part.size)
    // A continued file may mix bytes of two versions, so after a wrong checksum the downloader starts once from zero.
    var isResumed = part.size > 0
    var mayStartAnew = true
    var mayResume = true
    for attempt in 1...max(retries.total, 1) {
      if !mayResume { try part.empty() }
      let outcome =
        part.size >= file.size
        ? .complete
        : try transfer.run(
          url: url, into: part, size: file.size,
          onStart: { offset in
            isResumed = offset > 0
            onEvent(.started(url: url, offset: offset))
          }, onBytes: { onEvent(.received(bytes: $0, total: file.size)) })
      switch outcome {
      case .complete:
        let found = try FileDigest.sha256(ofFileAt: part.path)
        if found == file.sha256 { return nil }
        try part.empty()
        guard isResumed, mayStartAnew else {
          return "sent a wrong file: expected sha256 \(file.sha256), found \(found) (the part file was removed)"
        }
        mayStartAnew = false
        onEvent(.retrying(reason: "\(url) did not continue the same file, the part file was removed", delay: 0))
      case .refused(let why): return why
      case .cannotResume(let why):
        if !mayResume { return why }
        mayResume = false
        onEvent(.retrying(reason: "\(url) \(why)", delay: 0))
      case .interrupted(let why):
        guard let delay = pace.delay(after: part.size), attempt != retries.total else { return why }
        onEvent(.retrying(reason: "\(url) \(why)", delay: delay))
        Thread.sleep(forTimeInterval: delay)
      }
    }
    return "failed \(retries.total) times"
  }

  private static func address(of file: RemoteFile, below base: String) throws(SATError) -> String {
    guard let url = URL(string: base), let scheme = url.scheme?.lowercased(), ["http", "https"].contains(scheme), url.host != nil
    else {
      throw SATError("--mirror \(base) is not a web address; expected http://… or https://…, the folder that holds \(file.name)")
    }
    return base.hasSuffix("/") ? base + file.name : "\(base)/\(file.name)"
  }

  /// Returns the path of the program `curl`; throws a `SATError` when it is not on `PATH`.
  public func findCurl() throws(SATError) -> String {
    let candidates = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/curl" }
    if let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) { return found }
    throw SATError("fetching needs the program curl, which is not on PATH; install it (Debian and Ubuntu: apt-get install curl)")
  }
}

/// The delays between attempts at one server, and the decision to give it up.
private struct RetryPace {
  let retries: Downloader.Retries
  var delay: Double
  /// The size of the part file in bytes after the best attempt; before the first, its size then.
  var longest: Int64
  var failures = 0

  /// Returns the seconds to wait after a failed attempt that left `size` bytes; nil after too many attempts without progress.
  mutating func delay(after size: Int64) -> Double? {
    if size > longest {
      longest = size
      failures = 0
      delay = retries.firstDelay
    } else {
      failures += 1
    }
    if failures >= retries.withoutProgress { return nil }
    defer { delay = min(delay * 2, retries.longestDelay) }
    return delay
  }
}

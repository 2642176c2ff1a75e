internal import Foundation

/// What happens during a download, in order, for a caller that shows it.
public enum DownloadEvent: Sendable, Equatable {
  /// `url` began to send the file from byte `offset`.
  case started(url: String, offset: Int64)
  /// `bytes` of `total` are in the part file.
  case received(bytes: Int64, total: Int64)
  /// An attempt failed and the same server is asked again after `delay` seconds.
  case retrying(reason: String, delay: Double)
  /// The server is given up; the next one, if any, is asked.
  case abandoned(reason: String)
}

/// Fetches pinned files: resumed after a cut, checked by size and SHA-256, under the final name only when whole.
public struct Downloader: Sendable {
  /// How often a server is asked again. The delay doubles from `firstDelay` up to `longestDelay` seconds.
  public struct Retries: Sendable {
    /// Failed attempts in a row, without the file getting longer, after which a server is given up.
    public var withoutProgress = 4
    /// Attempts in all, so that a server that sends a few bytes each time comes to an end too.
    public var total = 100
    public var firstDelay = 0.5
    public var longestDelay = 8.0

    public init() {}
  }

  public enum Result: Sendable, Equatable {
    case fetched
    /// The file was there, whole.
    case alreadyPresent
  }

  public var retries = Retries()
  /// Seconds without a connection or without data after which an attempt counts as failed.
  public var timeout = 30
  private let environment: [String: String]

  /// - Parameter environment: names the proxies (`https_proxy`, …) and where to look for `curl` (`PATH`); the process's
  ///   when nil.
  public init(environment: [String: String]? = nil) {
    self.environment = environment ?? ProcessInfo.processInfo.environment
  }

  /// Gets `file` into the data root unless it is there, whole.
  ///
  /// A part file of an earlier attempt is continued. A file under the final name stays as it was until its replacement has
  /// been checked.
  ///
  /// - Parameter mirror: base address to use instead of the file's own; the file's name is appended.
  /// - Throws: one sentence naming the file, what each server answered, and what to do.
  @discardableResult
  public func fetch(
    _ file: RemoteFile, into root: DataRoot, mirror: String? = nil, onEvent: (DownloadEvent) -> Void = { _ in }
  ) throws(SATError) -> Result {
    let urls = try mirror.map { base throws(SATError) in [try Self.address(of: file, below: base)] } ?? file.urls
    let target = root.appending(file.path)
    if file.state(under: root) == .present, try FileDigest.sha256(ofFileAt: target) == file.sha256 {
      return .alreadyPresent
    }
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

  /// Asks one server until the part file is whole and right (nil) or the server is given up (why).
  private func fetch(
    _ file: RemoteFile, from url: String, into part: PartialFile, with transfer: CurlTransfer, onEvent: (DownloadEvent) -> Void
  ) throws(SATError) -> String? {
    var pace = RetryPace(retries, size: part.size)
    // A file pieced together may hold bytes of two versions of it: a wrong checksum is then worth one fresh start.
    var isPiecedTogether = part.size > 0
    var mayStartAnew = true
    var mayResume = true
    for attempt in 1...max(retries.total, 1) {
      if !mayResume { try part.empty() }
      switch try self.attempt(file, from: url, into: part, with: transfer, onEvent, &isPiecedTogether) {
      case .complete:
        let found = try FileDigest.sha256(ofFileAt: part.path)
        if found == file.sha256 { return nil }
        try part.empty()
        guard isPiecedTogether, mayStartAnew else {
          return "sent a wrong file: expected sha256 \(file.sha256), found \(found) (the part file was removed)"
        }
        mayStartAnew = false
        onEvent(.retrying(reason: "\(url) did not continue the same file, the part file was removed", delay: 0))
      case .refused(let why):
        return why
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
    return "was asked \(retries.total) times in vain"
  }

  /// Asks a server once for what the part file lacks.
  ///
  /// - Parameter isPiecedTogether: becomes true when the server continues bytes of an earlier attempt, else false.
  private func attempt(
    _ file: RemoteFile, from url: String, into part: PartialFile, with transfer: CurlTransfer, _ onEvent: (DownloadEvent) -> Void,
    _ isPiecedTogether: inout Bool
  ) throws(SATError) -> CurlTransfer.Outcome {
    guard part.size < file.size else { return .complete }
    return try transfer.run(
      url: url, into: part, size: file.size,
      onStart: { offset in
        isPiecedTogether = offset > 0
        onEvent(.started(url: url, offset: offset))
      },
      onBytes: { onEvent(.received(bytes: $0, total: file.size)) })
  }

  private static func address(of file: RemoteFile, below base: String) throws(SATError) -> String {
    guard let url = URL(string: base), let scheme = url.scheme?.lowercased(), ["http", "https"].contains(scheme), url.host != nil
    else {
      throw SATError("--mirror \(base) is no web address; expected http://… or https://…, the folder that holds \(file.name)")
    }
    return base.hasSuffix("/") ? base + file.name : "\(base)/\(file.name)"
  }

  /// The path of the program that does the transport.
  ///
  /// - Throws: a sentence when it is not there.
  public func findCurl() throws(SATError) -> String {
    let candidates = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/curl" }
    if let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) { return found }
    throw SATError("fetching needs the program curl, which is not on PATH; install it (Debian and Ubuntu: apt-get install curl)")
  }
}

/// How long to wait before a server is asked again, and when to give it up.
private struct RetryPace {
  private let retries: Downloader.Retries
  private var delay: Double
  private var failures = 0
  private var longest: Int64

  /// - Parameter size: bytes in the part file before the first attempt.
  init(_ retries: Downloader.Retries, size: Int64) {
    self.retries = retries
    delay = retries.firstDelay
    longest = size
  }

  /// Seconds to wait after a failed attempt that left `size` bytes; nil when there were too many without progress.
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

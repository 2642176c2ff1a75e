import Foundation
import Testing

@testable import SAT

/// Tests of the downloader with the server `Tests/Fixtures/flaky_server.py`; each path names a behaviour of the server.
@Suite(.serialized, .timeLimit(.minutes(20))) struct DownloadTests {
  private let site: FlakySite
  private let file: RemoteFile

  init() throws {
    site = try FlakySite(bytes: 500_000)
    file = try site.file(["good"])
  }

  /// Delays short enough for a test.
  private var downloader: Downloader {
    var downloader = Downloader(environment: site.environment)
    downloader.retries.firstDelay = 0.01
    return downloader
  }

  /// Fetches from the named behaviours in order.
  private func fetch(_ behaviours: String..., mirror: String? = nil) throws -> [DownloadEvent] {
    var events: [DownloadEvent] = []
    try downloader.fetch(site.file(behaviours), into: site.root, mirror: mirror) { events.append($0) }
    return events
  }

  /// Returns the error of a fetch that must fail and must not write the final file.
  private func failure(_ behaviours: String..., mirror: String? = nil, with special: Downloader? = nil) throws -> String {
    let file = try site.file(behaviours)
    let error = try #require(throws: SATError.self) {
      try (special ?? downloader).fetch(file, into: site.root, mirror: mirror)
    }
    #expect(!FileManager.default.fileExists(atPath: site.target))
    #expect(!error.message.contains("\n"))
    return error.message
  }

  private func expectWhole(_ comment: Comment? = nil) throws {
    #expect(try Data(contentsOf: URL(fileURLWithPath: site.target)) == site.content, comment)
    #expect(try site.leftovers() == ["digits.gz"], comment)
  }

  @Test func plainFetchReportsProgressUpToTheSize() throws {
    let events = try fetch("good")
    try expectWhole()
    #expect(events.first == .started(url: "\(site.base)/good/digits.gz", offset: 0))
    #expect(events.last == .received(bytes: 500_000, total: 500_000))
  }

  @Test func wholeFileIsNotFetchedAgain() throws {
    try site.makeFolder()
    try site.content.write(to: URL(fileURLWithPath: site.target))
    #expect(try Downloader(environment: site.environment).fetch(file, into: site.root) == .alreadyPresent)
    #expect(site.requests().isEmpty)
  }

  @Test func damagedFileIsReplaced() throws {
    try site.makeFolder()
    var damaged = site.content
    damaged[1000] ^= 1
    try damaged.write(to: URL(fileURLWithPath: site.target))
    _ = try fetch("good")
    try expectWhole()
  }

  @Test func cutConnectionIsResumedWithRangeAndIfRange() throws {
    let events = try fetch("cut")
    try expectWhole()
    let requests = site.requests()
    #expect(requests.map(\.range) == [nil, "bytes=100000-", "bytes=200000-", "bytes=300000-", "bytes=400000-"])
    #expect(requests.map(\.ifRange) == [nil] + Array(repeating: "\"first\"", count: 4))
    #expect(events.contains(.started(url: "\(site.base)/cut/digits.gz", offset: 300_000)))
  }

  @Test func partOfAnEarlierRunIsContinued() throws {
    let message = try failure("stuck")
    #expect(message.contains("100000 of 500000 bytes are kept in \(site.target).part"))
    _ = try fetch("good")
    try expectWhole()
    #expect(site.requests().last?.range == "bytes=100000-")
    #expect(site.requests().last?.ifRange == nil, "another server does not know the validator")
  }

  @Test func changedFileStartsAnew() throws {
    _ = try fetch("changed")
    try expectWhole()
    #expect(site.requests().map(\.ifRange) == [nil, "\"first\""])
  }

  @Test func changedFileWithoutAValidatorIsNoticedByItsSum() throws {
    _ = try fetch("changed-untagged")
    try expectWhole()
    #expect(site.requests().map(\.range) == [nil, "bytes=100000-", nil])
    #expect(site.requests().map(\.ifRange) == [nil, nil, nil])
  }

  @Test func resumedFileWithTheWrongSumIsFetchedOnceMoreFromTheStart() throws {
    _ = try? fetch("stuck")
    let part = URL(fileURLWithPath: site.target + ".part")
    try Data(site.content.prefix(100_000).map { ~$0 }).write(to: part)
    _ = try fetch("good")
    try expectWhole()
    #expect(site.requests().suffix(2).map(\.range) == ["bytes=100000-", nil])
  }

  @Test(arguments: ["no-range", "other-range", "cut-then-deaf"])
  func serverThatCannotResumeIsAskedForTheWholeFile(_ behaviour: String) throws {
    _ = try fetch(behaviour)
    try expectWhole("\(behaviour)")
    #expect(site.requests()[1].range == "bytes=100000-")
  }

  @Test func serverThatAlwaysCutsAtTheSameByteIsGivenUp() throws {
    let message = try failure("cut-from-0")
    #expect(message.contains("/cut-from-0/digits.gz failed: "))
    #expect(site.requests().count == 5)
  }

  @Test func busyServerIsAskedAgain() throws {
    let events = try fetch("busy")
    try expectWhole()
    #expect(
      events.prefix(2) == [
        .retrying(reason: "\(site.base)/busy/digits.gz answered 503 Service Unavailable", delay: 0.01),
        .retrying(reason: "\(site.base)/busy/digits.gz answered 503 Service Unavailable", delay: 0.02),
      ])
  }

  @Test func redirectIsFollowed() throws {
    _ = try fetch("redirect")
    try expectWhole()
  }

  @Test func wrongByteIsRefused() throws {
    let message = try failure("wrong-byte")
    let found = try #require(message.firstMatch(of: /found ([0-9a-f]{64})/)).1
    #expect(message.contains("sent a wrong file: expected sha256 \(file.sha256), found \(found) (the part file was removed)"))
    #expect(found != file.sha256)
    #expect(try site.leftovers().isEmpty)
  }

  @Test func missingFileIsNotAskedForTwice() throws {
    let message = try failure("missing")
    #expect(
      message == "could not fetch data/digits.gz: \(site.base)/missing/digits.gz answered 404 Not Found; "
        + "check the network or name another server with --mirror URL")
    #expect(site.requests().count == 1)
    #expect(try site.leftovers().isEmpty)
  }

  @Test(arguments: [("short", 499_999), ("long", 500_001)])
  func announcedWrongSizeIsRefusedBeforeAnyByte(_ behaviour: String, _ size: Int) throws {
    let message = try failure(behaviour)
    #expect(message.contains("/\(behaviour)/digits.gz offers a file of \(size) bytes, expected 500000"))
    #expect(try site.leftovers().isEmpty)
  }

  @Test func endlessBodyIsStopped() throws {
    #expect(try failure("overlong").contains("sends more than the 500000 bytes expected"))
  }

  @Test func stalledServerIsGivenUp() throws {
    var impatient = downloader
    impatient.timeout = 1
    impatient.retries.total = 1
    #expect(try failure("stall", with: impatient).contains("/stall/digits.gz failed: Operation too slow"))
  }

  @Test func nextServerTakesOver() throws {
    let events = try fetch("missing", "wrong-byte", "stuck", "good")
    try expectWhole()
    let given = events.compactMap { if case .abandoned(let reason) = $0 { reason } else { nil } }
    #expect(given.count == 3)
    #expect(site.requests().last?.range == "bytes=100000-")
  }

  @Test func mirrorReplacesTheServers() throws {
    _ = try fetch("missing", mirror: "\(site.base)/good/")
    try expectWhole()
    #expect(site.requests().map(\.path) == ["/good/digits.gz"])
  }

  @Test(arguments: ["files.example.org/mnist", "ftp://files.example.org", "file:///data", ""])
  func mirrorMustBeAWebAddress(_ mirror: String) throws {
    #expect(try failure("good", mirror: mirror).hasPrefix("--mirror \(mirror) is not a web address; expected http://"))
    #expect(site.requests().isEmpty)
  }

  @Test func unreachableServerIsNamed() throws {
    // Port 1 is reserved, so no server listens there.
    let message = try failure("good", mirror: "http://127.0.0.1:1")
    #expect(message.contains("http://127.0.0.1:1/digits.gz failed: Failed to connect to 127.0.0.1 port 1"))
    #expect(message.hasSuffix("check the address given with --mirror"))
    #expect(try site.leftovers().isEmpty)
  }

  @Test func withoutCurlThePackageIsNamed() throws {
    let downloader = Downloader(environment: ["PATH": site.root.path])
    let error = #expect(throws: SATError.self) { try downloader.fetch(file, into: site.root) }
    #expect(error?.message.contains("apt-get install curl") == true)
  }

  @Test func unwritableFolderIsNamed() throws {
    let root = DataRoot(option: "/proc/sat")
    let error = #expect(throws: SATError.self) { try Downloader(environment: site.environment).fetch(file, into: root) }
    #expect(error?.message.hasPrefix("the folder /proc/sat/data cannot be made (No such file or directory); ") == true)
    #expect(error?.message.hasSuffix("; choose a writable one with --data-root") == true)
  }

  @Test func fullDiskIsNamed() throws {
    try site.makeFolder()
    try FileManager.default.createSymbolicLink(atPath: site.target + ".part", withDestinationPath: "/dev/full")
    #expect(try failure("good").contains(".part after 0 bytes: No space left on device; free some space"))
  }

  @Test func twoFetchesOfOneFileDoNotMix() throws {
    let other = try PartialFile(of: site.target)
    #expect(try failure("good") == "another process is fetching \(site.target); wait until it is done")
    #expect(other.size == 0)
  }
}

/// A running `flaky_server.py` with the bytes that it serves and an empty data root; all end with this object.
private final class FlakySite {
  struct Request: Decodable {
    var path: String
    var range: String?
    var ifRange: String?

    enum CodingKeys: String, CodingKey {
      case path, range
      case ifRange = "if_range"
    }
  }

  let content: Data
  let root: DataRoot
  let base: String
  /// The environment without the machine's proxies, because curl would use them for 127.0.0.1.
  let environment = ProcessInfo.processInfo.environment.filter { !$0.key.lowercased().hasSuffix("_proxy") }
  private let folder: URL
  private let log: URL
  private let server = Process()
  private let input = Pipe()

  var target: String { root.appending("data/digits.gz") }

  init(bytes: Int) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("sat-download-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    root = DataRoot(option: folder.appendingPathComponent("root").path)
    // The bytes have no period, so a wrong offset shows.
    var state: UInt32 = 1
    content = Data(
      (0..<bytes).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(truncatingIfNeeded: state >> 24)
      })
    let served = folder.appendingPathComponent("served")
    try content.write(to: served)
    log = folder.appendingPathComponent("log")
    try Data().write(to: log)
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Fixtures/flaky_server.py")
    server.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    server.arguments = ["python3", script.path, served.path]
    server.standardInput = input
    server.standardOutput = try FileHandle(forWritingTo: log)
    try server.run()
    var port: Substring?
    for _ in 0..<1000 where port == nil {
      Thread.sleep(forTimeInterval: 0.01)
      let lines = try String(contentsOf: log, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
      port = lines.count > 1 ? lines[0] : nil
    }
    base = "http://127.0.0.1:\(try #require(port, "the server must print its port"))"
  }

  deinit {
    try? input.fileHandleForWriting.close()
    server.waitUntilExit()
    try? FileManager.default.removeItem(at: folder)
  }

  /// Returns the served file with one address for each behaviour, in order.
  func file(_ behaviours: [String]) throws -> RemoteFile {
    RemoteFile(
      path: "data/digits.gz", size: Int64(content.count),
      sha256: try FileDigest.sha256(ofFileAt: folder.appendingPathComponent("served").path),
      urls: behaviours.map { "\(base)/\($0)/digits.gz" })
  }

  /// Returns the requests to the server, in order.
  func requests() -> [Request] {
    let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").dropFirst().compactMap { try? JSONDecoder().decode(Request.self, from: Data($0.utf8)) }
  }

  func makeFolder() throws {
    let folder = (target as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  /// Returns the names of the files in the target's folder.
  func leftovers() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: (target as NSString).deletingLastPathComponent).sorted()
  }
}

internal import Foundation
internal import Glibc

/// One run of the program `curl`; it appends the server's bytes to a part file.
///
/// Foundation's URLSession needs libcurl's development files to link statically, so the program does the transport: TLS, the
/// environment's proxies and redirects. This type makes all decisions about the file. The body goes through a pipe: if this
/// process dies, curl's next write fails and curl ends too.
struct CurlTransfer {
  enum Outcome: Equatable {
    case complete
    /// The connection or the server failed, but another attempt may succeed.
    case interrupted(String)
    /// The server cannot continue at the end of the part file.
    case cannotResume(String)
    /// The server does not deliver this file.
    case refused(String)
  }

  let curl: String
  let environment: [String: String]
  /// The seconds to wait for a connection, and the seconds without data after which a connection counts as dead.
  let timeout: Int

  /// curl's exit codes for failures of name resolution, connection and stream that another attempt may avoid.
  private static let transientExits: Set<Int32> = [5, 6, 7, 16, 18, 28, 35, 52, 55, 56, 92, 95]

  /// Runs curl once to continue the part file of a file of `size` bytes; failures of the server are outcomes too.
  ///
  /// `onStart` gets the offset of the first byte when the server begins to send, `onBytes` the part file's size after each piece.
  /// - Throws: `SATError` for a local failure: curl cannot run, or the disk is full.
  func run(
    url: String, into part: PartialFile, size: Int64, onStart: (Int64) -> Void, onBytes: (Int64) -> Void
  ) throws(SATError) -> Outcome {
    let (output, errors) = (Pipe(), Pipe())
    let process = try start(arguments(url: url, part: part), output, errors)
    defer {
      // terminate() has no effect: a child of a worker thread inherits a signal mask that blocks SIGTERM.
      if process.isRunning { kill(process.processIdentifier, SIGKILL) }
      process.waitUntilExit()
    }

    var reader = ResponseHeaderReader()
    var hasStarted = false
    while true {
      let chunk = output.fileHandleForReading.availableData
      if chunk.isEmpty { break }
      let body: Data
      do { body = try reader.body(of: chunk) } catch { return .refused(error.message) }
      if !hasStarted, let header = reader.header, (200..<300).contains(header.status) {
        if let objection = try prepare(part, for: header, url: url, size: size) { return objection }
        hasStarted = true
        onStart(part.size)
      }
      if hasStarted, !body.isEmpty {
        if part.size + Int64(body.count) > size { return .refused("sends more than the \(size) bytes expected") }
        try part.append(body)
        onBytes(part.size)
      }
    }
    process.waitUntilExit()
    let message = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    return outcome(exit: process.terminationStatus, message: message, header: reader.header, part: part, size: size)
  }

  private func start(_ arguments: [String], _ output: Pipe, _ errors: Pipe) throws(SATError) -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: curl)
    process.arguments = arguments
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    do { try process.run() } catch { throw SATError("cannot run \(curl): \(SystemError.reason(error))") }
    return process
  }

  private func arguments(url: String, part: PartialFile) -> [String] {
    var arguments = [
      "--disable", "--silent", "--show-error", "--fail", "--include", "--suppress-connect-headers",
      "--location", "--max-redirs", "10", "--proto", "=http,https", "--globoff",
      "--connect-timeout", "\(timeout)", "--speed-limit", "1", "--speed-time", "\(timeout)",
    ]
    if part.size > 0 {
      arguments += ["--range", "\(part.size)-"]
      if let validator = part.validator(for: url) { arguments += ["--header", "If-Range: \(validator)"] }
    }
    return arguments + ["--url", url]
  }

  /// Makes the part file end at the server's first byte; returns an outcome when that is not possible.
  private func prepare(_ part: PartialFile, for header: ResponseHeader, url: String, size: Int64) throws(SATError) -> Outcome? {
    let offered: Int64?
    if header.status == 206 {
      guard let range = header.contentRange, range.start == part.size else {
        return .cannotResume("answered a request from byte \(part.size) with another range")
      }
      offered = range.size
    } else {
      offered = header.contentLength
    }
    if let offered, offered != size { return .refused("offers a file of \(offered) bytes, expected \(size)") }
    if header.status != 206 { try part.empty() }
    if part.size == 0 { try part.recordSource(url: url, validator: header.validator) }
    return nil
  }

  private func outcome(exit: Int32, message: String, header: ResponseHeader?, part: PartialFile, size: Int64) -> Outcome {
    if let header, header.status >= 300 {
      let answer = "answered \(header.statusText)"
      switch header.status {
      case 416 where part.size > 0: return .cannotResume(answer)
      case 408, 429, 500...: return .interrupted(answer)
      default: return .refused(answer)
      }
    }
    if part.size == size { return .complete }
    if exit == 0 { return .interrupted("ended after \(part.size) of \(size) bytes") }
    let reason = Self.reason(message, exit: exit)
    return Self.transientExits.contains(exit) ? .interrupted(reason) : .refused(reason)
  }

  /// Returns curl's message without its prefix, such as "Failed to connect to … port 80" from "curl: (7) Failed to …".
  private static func reason(_ message: String, exit: Int32) -> String {
    let line = message.split(separator: "\n").last { $0.hasPrefix("curl: (") }
    guard let line, let end = line.firstIndex(of: ")") else { return "failed (curl exit \(exit))" }
    return "failed: " + line[line.index(after: end)...].trimmingCharacters(in: .whitespaces)
  }
}

internal import Foundation

/// The status and fields of one HTTP response.
struct ResponseHeader {
  var status = 0
  /// The status with the server's words, only printable ASCII because a terminal shows it.
  var statusText = ""
  /// The values of the fields by lower-case name.
  var fields: [String: String] = [:]

  /// The identifier of this version of the file for `If-Range`: a strong ETag, else the modification date (RFC 9110, 13.1.5).
  var validator: String? {
    if let tag = fields["etag"], tag.hasPrefix("\"") { return tag }
    return fields["last-modified"]
  }

  var contentLength: Int64? { fields["content-length"].flatMap { Int64($0) } }

  /// The start and, if the server knows it, the full size from `Content-Range: bytes START-END/SIZE`.
  var contentRange: (start: Int64, size: Int64?)? {
    guard let value = fields["content-range"], value.lowercased().hasPrefix("bytes ") else { return nil }
    let parts = value.dropFirst(6).split(separator: "/")
    guard parts.count == 2, let start = parts[0].split(separator: "-").first.flatMap({ Int64($0) }) else { return nil }
    return (start, Int64(parts[1]))
  }
}

/// A reader that separates the header from the body in the output of `curl --include`.
///
/// Redirects and `100 Continue` print their own header blocks before the final one.
struct ResponseHeaderReader {
  /// The largest header in bytes; the limit stops a server that would fill the memory.
  static let limit = 262_144

  private(set) var header: ResponseHeader?
  private var current = ResponseHeader()
  private var pending = Data()
  private var consumed = 0

  /// Takes the next piece of output and returns its part of the body; empty until ``header`` is known.
  mutating func body(of chunk: Data) throws(SATError) -> Data {
    if header != nil { return chunk }
    pending.append(chunk)
    while header == nil, let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
      let line = pending[pending.startIndex..<end].filter { $0 != UInt8(ascii: "\r") }
      consumed += end - pending.startIndex + 1
      pending = Data(pending[(end + 1)...])
      accept(String(decoding: line, as: UTF8.self))
      if consumed > Self.limit { break }
    }
    if header == nil {
      if consumed + pending.count > Self.limit { throw SATError("sent a header of more than \(Self.limit) bytes") }
      return Data()
    }
    defer { pending = Data() }
    return pending
  }

  private mutating func accept(_ line: String) {
    if line.isEmpty {
      let isRedirect = (300..<400).contains(current.status) && current.fields["location"] != nil
      if !isRedirect && !(100..<200).contains(current.status) { header = current }
    } else if line.hasPrefix("HTTP/") {
      let words = line.split(separator: " ", maxSplits: 1)
      let text = words.count == 2 ? words[1].filter { $0 >= " " && $0 <= "~" }.trimmingCharacters(in: .whitespaces) : ""
      current = ResponseHeader(status: Int(text.prefix { $0.isNumber }) ?? 0, statusText: String(text.prefix(60)))
    } else if let colon = line.firstIndex(of: ":") {
      current.fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
  }
}

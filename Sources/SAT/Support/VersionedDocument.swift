internal import Foundation
internal import SwiftTorch

/// A JSON document that states its format and version, such as "sat-evaluation/1".
///
/// One type writes a document and reads it back.
public protocol VersionedDocument: Codable, Sendable, Equatable {
  /// Name and version: "sat-evaluation/1".
  static var format: String { get }
  /// What a person does about a file that cannot be read: the end of the sentence about it.
  static var remedy: String { get }
  /// The format that the document states.
  var format: String { get }
  /// The parts that contradict each other, as in a document that was cut or edited; nil for a whole one.
  var inconsistency: String? { get }
}

extension VersionedDocument {
  public static var remedy: String { "make it again" }
  public var inconsistency: String? { nil }

  /// The format's name without its version: "sat-evaluation".
  static var kind: String { DocumentFormat.kind(of: format) }

  /// Reads a document from a file.
  ///
  /// - Throws: a sentence that names the file, where it cannot be read, is of another version, or is not whole.
  public static func read(from path: String) throws -> Self {
    let bytes = try FileBytes.read(path, expecting: "a document of the format \(format)")
    do { return try whole(bytes) } catch { throw SATError("\(path) \(error.reason); \(remedy)") }
  }

  /// Decodes a document whose parts agree with each other.
  static func whole(_ json: [UInt8]) throws(DocumentFault) -> Self {
    let document = try decoded(json)
    if let inconsistency = document.inconsistency { throw DocumentFault(reason: "is not whole (\(inconsistency))") }
    return document
  }

  /// Decodes a document of this version.
  static func decoded(_ json: [UInt8]) throws(DocumentFault) -> Self {
    let stated = try DocumentFormat.stated(by: json)
    guard stated == format else { throw DocumentFault(reason: "is \(stated), but this version of sat reads \(format)") }
    do { return try JSONText.decode(Self.self, from: json) } catch {
      throw DocumentFault(reason: "says it is \(format) but \(JSONText.fault(error) ?? "lacks parts of it")")
    }
  }

  /// The document as JSON text.
  public func json() throws -> String { try JSONText.encode(self) }

  /// Writes the document to a file, whole or not at all.
  public func write(to path: String) throws { try AtomicFile.write(json() + "\n", to: path) }
}

/// Why a file is not the document that its reader expects.
struct DocumentFault: Error {
  /// Stands after the file's name: "is not whole JSON".
  var reason: String
}

/// What JSON says of its own format.
enum DocumentFormat {
  private struct Header: Decodable { var format: String? }

  /// The format that a document states.
  static func stated(by json: [UInt8]) throws(DocumentFault) -> String {
    if let format = (try? JSONText.decode(Header.self, from: json))?.format { return format }
    throw DocumentFault(reason: JSONText.isWhole(json) ? "has no format, which every document of sat has" : "is not whole JSON")
  }

  static func kind(of format: String) -> String { String(format.prefix { $0 != "/" }) }
}

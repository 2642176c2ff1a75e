internal import Foundation
internal import SwiftTorch

/// A JSON document that states its format and version, such as "sat-evaluation/1".
public protocol VersionedDocument: Codable, Sendable, Equatable {
  /// The name and version, such as "sat-evaluation/1".
  static var format: String { get }
  /// The advice at the end of an error about an unreadable file.
  static var remedy: String { get }
  var format: String { get }
  /// Words for parts that contradict each other because the document was cut or edited; nil for a whole document.
  var inconsistency: String? { get }
}

/// A document of a measurement, which states how and where the model computed.
protocol MeasurementDocument: VersionedDocument {
  /// The precision of the model's passes; nil in early documents, which do not state it.
  var precision: Execution.Precision? { get }
  /// The device, such as "cpu" or "cuda:0"; nil in early documents.
  var device: String? { get }
  /// The versions of sat and libtorch.
  var versions: [String: String] { get }
}

extension MeasurementDocument {
  /// Returns the first circumstance that differs from a measurement made now with `execution`, in words; nil if none differs.
  func difference(from execution: Execution) throws -> String? {
    let kind = try execution.place.isCUDA ? "cuda" : "cpu"
    let circumstances = [
      ("precision", precision?.rawValue, execution.precision.rawValue),
      ("device", device.map { $0.hasPrefix("cuda") ? "cuda" : $0 }, kind), ("libtorch", versions["libtorch"], Torch.version),
    ]
    return circumstances.first { $0.1 != $0.2 }.map { "\($0.0) \($0.1 ?? "unknown"), not \($0.2)" }
  }
}

extension VersionedDocument {
  public static var remedy: String { "make it again" }
  public var inconsistency: String? { nil }

  /// The format's name without its version, such as "sat-evaluation".
  static var kind: String { DocumentFormat.kind(of: format) }

  /// Reads a document; throws an error that names the file when it cannot be read, has another version, or is not whole.
  public static func read(from path: String) throws -> Self {
    let bytes = try FileBytes.read(path, expecting: "a document of the format \(format)")
    do { return try whole(bytes) } catch { throw SATError("\(path) \(error.reason); \(remedy)") }
  }

  /// Decodes a document and checks that its parts agree.
  static func whole(_ json: [UInt8]) throws(DocumentFault) -> Self {
    let document = try decoded(json)
    if let inconsistency = document.inconsistency { throw DocumentFault(reason: "is not whole (\(inconsistency))") }
    return document
  }

  /// Decodes a document that states this format and version.
  static func decoded(_ json: [UInt8]) throws(DocumentFault) -> Self {
    let stated = try DocumentFormat.stated(by: json)
    guard stated == format else { throw DocumentFault(reason: "is \(stated), but this version of sat reads \(format)") }
    do { return try JSONText.decode(Self.self, from: json) } catch {
      throw DocumentFault(reason: "says it is \(format) but \(JSONText.fault(error) ?? "lacks some of its parts")")
    }
  }

  public func json() throws -> String { try JSONText.encode(self) }

  /// Writes the document to a file completely or not at all.
  public func write(to path: String) throws { try AtomicFile.write(json() + "\n", to: path) }
}

/// The reason why a file is not the expected document.
struct DocumentFault: Error {
  /// Words that follow the file's name, such as "is not whole JSON".
  var reason: String
}

/// The format that a JSON text states.
enum DocumentFormat {
  private struct Header: Decodable { var format: String? }

  static func stated(by json: [UInt8]) throws(DocumentFault) -> String {
    if let format = (try? JSONText.decode(Header.self, from: json))?.format { return format }
    throw DocumentFault(reason: JSONText.isWhole(json) ? "has no format, which every document of sat has" : "is not whole JSON")
  }

  static func kind(of format: String) -> String { String(format.prefix { $0 != "/" }) }
}

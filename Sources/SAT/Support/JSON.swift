internal import Foundation
internal import SwiftTorch

/// The reading and writing of JSON for all commands and libraries.
public enum JSONText {
  /// Returns a value as JSON on several lines, the form of documents.
  public static func encode(_ value: some Encodable) throws -> String {
    try text(value, [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
  }

  /// Returns a value as JSON on one line with its line end, the form of logs.
  static func line(_ value: some Encodable) throws -> String { try text(value, [.sortedKeys, .withoutEscapingSlashes]) + "\n" }

  private static func text(_ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = formatting
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  /// Decodes a value; strict decoding refuses Python's NaN and Infinity, which JSON does not have.
  static func decode<Value: Decodable>(_ type: Value.Type, from json: some Sequence<UInt8>, isStrict: Bool = false) throws -> Value
  {
    let decoder = JSONDecoder()
    if !isStrict {
      decoder.allowsJSON5 = true
      decoder.nonConformingFloatDecodingStrategy = .convertFromString(
        positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    }
    return try decoder.decode(type, from: Data(json))
  }

  /// Any JSON value; it decodes from every complete text.
  private struct Anything: Decodable { init(from decoder: any Decoder) {} }

  static func isWhole(_ json: some Sequence<UInt8>) -> Bool { (try? decode(Anything.self, from: json)) != nil }

  /// Returns words for the key that made decoding fail, such as "lacks 'attacks.0.name'"; nil when the error names no key.
  static func fault(_ error: any Error) -> String? {
    func name(_ path: [any CodingKey]) -> String {
      path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }
    switch error as? DecodingError {
    case .keyNotFound(let key, let context)?: return "lacks '\(name(context.codingPath + [key]))'"
    case .typeMismatch(_, let context)?, .valueNotFound(_, let context)?, .dataCorrupted(let context)?:
      return context.codingPath.isEmpty ? nil : "has the wrong kind of value for '\(name(context.codingPath))'"
    default: return nil
    }
  }
}

/// A log with one JSON value a line, such as `metrics.jsonl`.
enum JSONLines {
  /// Reads the values of a log and skips blank lines; `what` names a value in the error, such as "an epoch's metrics".
  ///
  /// Strict reading refuses NaN, Infinity and an incomplete last line, which a killed writer leaves; otherwise it skips that line.
  /// - Throws: `SATError` that names the file and the bad line; `TorchError` when the file cannot be read.
  static func read<Value: Decodable>(_ path: String, _ what: String, isStrict: Bool) throws -> [Value] {
    let lines = try FileBytes.read(path, expecting: "a run's log").split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    func isBlank(_ line: ArraySlice<UInt8>) -> Bool { line.allSatisfy { [0x20, 0x09, 0x0D].contains($0) } }
    let last = lines.lastIndex { !isBlank($0) }
    var values: [Value] = []
    for (i, line) in lines.enumerated() where !isBlank(line) {
      do { values.append(try JSONText.decode(Value.self, from: line, isStrict: isStrict)) } catch {
        let isTorn = !JSONText.isWhole(line)
        if !isStrict && i == last && isTorn { break }
        let fault = isTorn ? nil : JSONText.fault(error)
        throw SATError("\(path), line \(i + 1) is not \(what)\(fault.map { " (it \($0))" } ?? ""); restore or delete the line")
      }
    }
    return values
  }
}

/// A coding key with a name that is known only at run time.
struct NamedKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

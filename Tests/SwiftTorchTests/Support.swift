import Foundation
import SwiftTorch
import Testing

/// Reads the files that `Tests/Fixtures/make_fixtures.py` made with PyTorch.
enum Fixtures {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures")

  static func path(_ name: String) -> String { folder.appending(path: name).path(percentEncoded: false) }

  static func bytes(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: path(name)))) }

  /// Decodes NAME.json.
  static func description<T: Decodable>(_ name: String, as type: T.Type = T.self) throws -> T {
    try JSONDecoder().decode(type, from: Data(contentsOf: URL(filePath: path("\(name).json"))))
  }

  /// Reads NAME.safetensors.
  static func tensors(_ name: String) throws -> GoldenTensors {
    GoldenTensors(
      named: Dictionary(
        uniqueKeysWithValues: try SafeTensors.read(path("\(name).safetensors")).tensors.map { ($0.name, $0.tensor) }))
  }
}

/// Golden tensors by name. A missing tensor fails the test, and the message has its name.
struct GoldenTensors {
  let named: [String: Tensor]

  subscript(_ name: String) -> Tensor {
    get throws { try #require(named[name], "the fixtures have no tensor \(name)") }
  }
}

/// A value of a fixture's `options`. Its key is PyTorch's name.
enum Option: Decodable, Sendable {
  case flag(Bool)
  case number(Double)
  case text(String)
  case list([Double])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Bool.self) {
      self = .flag(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .text(value)
    } else {
      self = .list(try container.decode([Double].self))
    }
  }
}

extension [String: Option] {
  func double(_ key: String, default value: Double? = nil) throws -> Double {
    if case .number(let number)? = self[key] { return number }
    return try #require(value, "the fixture lacks the number \(key)")
  }

  func int(_ key: String, default value: Int? = nil) throws -> Int { Int(try double(key, default: value.map(Double.init))) }

  func flag(_ key: String, default value: Bool) -> Bool {
    if case .flag(let flag)? = self[key] { flag } else { value }
  }

  func text(_ key: String) -> String? {
    if case .text(let text)? = self[key] { text } else { nil }
  }

  func list(_ key: String) -> [Double]? {
    if case .list(let list)? = self[key] { list } else { nil }
  }
}

/// Fails unless shapes and dtypes agree and every |a - b| <= absolute + relative * |b|. The message has the largest difference.
func expectClose(
  _ actual: Tensor, _ expected: Tensor, absolute: Double = 1e-6, relative: Double = 1e-5, _ what: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let label = what.isEmpty ? "" : "\(what): "
  guard actual.shape == expected.shape, actual.dtype == expected.dtype else {
    Issue.record(
      "\(label)\(actual.dtype) \(actual.shape), expected \(expected.dtype) \(expected.shape)", sourceLocation: sourceLocation)
    return
  }
  guard actual.count > 0 else { return }
  let (a, b) = withNoGrad { (actual.detached().to(.float64), expected.detached().to(.float64)) }
  let largest = (a - b).abs().max().item()
  #expect(
    a.isClose(to: b, relative: relative, absolute: absolute), "\(label)largest difference \(largest)",
    sourceLocation: sourceLocation)
}

/// Fails unless dtypes, shapes and every value agree exactly. The message shows both tensors.
func expectIdentical(
  _ actual: Tensor, _ expected: Tensor, _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
  let equal = actual.dtype == expected.dtype && actual.shape == expected.shape && actual.isEqual(to: expected)
  #expect(equal, "\(what.isEmpty ? "" : "\(what): ")\(actual), expected \(expected)", sourceLocation: sourceLocation)
}

/// Fails unless `body` throws a `TorchError` and its message contains all `fragments`.
func expectTorchError(
  _ fragments: [String], sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  let error = #expect(throws: TorchError.self, sourceLocation: sourceLocation) { try body() }
  guard let error else { return }
  for fragment in fragments {
    #expect(error.message.contains(fragment), "the message is: \(error.message)", sourceLocation: sourceLocation)
  }
  #expect(!error.message.contains("Exception raised from"), "a backtrace is in: \(error.message)", sourceLocation: sourceLocation)
}

/// Runs `body`, which must throw, and returns the error's message.
func message(of body: () throws -> Any) -> String {
  do {
    return "nothing was thrown but \(try body()) returned"
  } catch {
    return "\((error as? FormatError)?.message ?? (error as? TorchError)?.message ?? "another error: \(error)")"
  }
}

/// Makes a folder, runs `body` with its path and removes it.
func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sat-test-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try body(folder)
}

import Foundation

/// An empty folder that is gone after the test.
final class Scratch {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("sat-test-\(UUID().uuidString)").path

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }
}

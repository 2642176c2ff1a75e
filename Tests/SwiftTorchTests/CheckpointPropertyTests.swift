import Foundation
import Testing

@testable import SwiftTorch

/// Compares the reader with `torch.load` on the files of `Fixtures/random_checkpoints.py`.
@Suite struct CheckpointPropertyTests {
  private struct File: Decodable {
    struct Tensor: Decodable {
      let key: String
      let dtype: String
      let shape: [Int]
      let bytes: String
    }
    let file: String
    let zipped: Bool
    let `protocol`: Int
    let tensors: [Tensor]
  }

  private static let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  private static let python = package.appending(path: "build/python").path(percentEncoded: false)
  private static let hasPython: Bool = {
    let found = FileManager.default.isExecutableFile(atPath: python)
    if !found { print("skipped: build/python is not there; scripts/bootstrap --with-tests makes it") }
    return found
  }()

  /// The tensors of 300 random files equal those of `torch.load` bit for bit, or the file is refused with a sentence.
  @Test(.enabled(if: hasPython, "there is no Python with torch"))
  func randomCheckpointsEqualPyTorch() throws {
    try withTemporaryFolder { folder in
      let process = Process()
      process.executableURL = URL(filePath: Self.python)
      process.arguments = [
        Self.package.appending(path: "Tests/Fixtures/random_checkpoints.py").path(percentEncoded: false), folder, "300",
      ]
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      try #require(process.terminationStatus == 0)
      let files = try JSONDecoder().decode([File].self, from: Data(contentsOf: URL(filePath: "\(folder)/expected.json")))
      #expect(files.count == 300 && Set(files.map(\.protocol)).count == 5 && Set(files.map(\.zipped)).count == 2)
      var refused = 0
      for file in files {
        let path = "\(folder)/\(file.file)"
        do {
          let states = try PyTorchCheckpoint.read(path).stateDicts()
          let state = states.first { $0.location == "state_dict" }
          let tensors = try state?.tensors() ?? []
          let what = "\(file.file), zip \(file.zipped), protocol \(file.protocol)"
          #expect(tensors.map(\.name) == file.tensors.map(\.key), "\(what)")
          for (read, wanted) in zip(tensors, file.tensors) {
            #expect(read.tensor.dtype.description == wanted.dtype && read.tensor.shape == wanted.shape, "\(what): \(wanted.key)")
            let bytes = read.tensor.hostBytes().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            #expect(bytes == wanted.bytes, "\(what): \(wanted.key)")
          }
        } catch let error as TorchError {
          refused += 1
          #expect(error.message.hasPrefix(path) && !error.message.contains("\n"), "\(error.message)")
        }
      }
      #expect(refused < 15, "\(refused) of 300 files are refused")
    }
  }
}

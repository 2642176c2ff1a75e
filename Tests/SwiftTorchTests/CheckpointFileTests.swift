import Foundation
import Testing

@testable import SwiftTorch

@Suite struct CheckpointFileTests {
  @Test func unreadablePathsAreNamed() throws {
    try withTemporaryFolder { folder in
      #expect(
        message { try FileBytes.read("\(folder)/none.pt", expecting: "a checkpoint") }
          == "\(folder)/none.pt: there is no such file; expected a checkpoint; check the path")
      #expect(message { try FileBytes.read(folder) }.contains("is a folder"))
      #expect(message { try FileBytes.read("/dev/null") }.contains("is a device, socket or pipe"))
      #expect(message { try FileBytes.read("\(folder)/none.pt/inside") }.contains("there is no such file"))
      try Data().write(to: URL(fileURLWithPath: "\(folder)/empty"))
      #expect(message { try FileBytes.read("\(folder)/empty") }.contains("is empty"))
      #expect(mkfifo("\(folder)/pipe", 0o600) == 0)
      #expect(message { try FileBytes.read("\(folder)/pipe") }.contains("pipe"))
    }
  }

  @Test(.enabled(if: geteuid() != 0, "the superuser may read everything"))
  func forbiddenFilesAreNamed() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.write("secret", to: "\(folder)/a")
      #expect(chmod("\(folder)/a", 0) == 0)
      #expect(message { try FileBytes.read("\(folder)/a") }.contains("not permitted"))
      #expect(chmod(folder, 0o500) == 0)
      #expect(message { try AtomicFile.write("x", to: "\(folder)/b") }.contains("not permitted"))
      #expect(chmod(folder, 0o700) == 0)
    }
  }

  @Test func writesAppearWholeAndReplaceKeepingPermissions() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/café.txt"
      try AtomicFile.write("one", to: path)
      #expect(chmod(path, 0o640) == 0)
      try AtomicFile.write(to: path) { file throws(TorchError) in
        try file.append("two")
        // Nothing is visible before the end.
        #expect(try FileBytes.read(path) == Array("one".utf8))
        try file.append([UInt8](repeating: 33, count: 3_000_000))
      }
      #expect(try FileBytes.read(path) == Array("two".utf8) + [UInt8](repeating: 33, count: 3_000_000))
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
      #expect(mode == 0o640)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["café.txt"])
    }
  }

  @Test func symbolicLinksAreFollowed() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.write("old", to: "\(folder)/target")
      try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "target")
      try AtomicFile.write("new", to: "\(folder)/link")
      #expect(try FileBytes.read("\(folder)/target") == Array("new".utf8))
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/link") == "target")
    }
  }

  @Test func failedWritesLeaveTheOldFileAndNothingElse() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.safetensors"
      try AtomicFile.write("old", to: path)
      let text = message {
        try AtomicFile.write(to: path) { file throws(TorchError) in
          try file.append("half of it")
          throw TorchError(.runtime, "interrupted")
        }
      }
      #expect(text == "interrupted")
      #expect(try FileBytes.read(path) == Array("old".utf8))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model.safetensors"])
      #expect(message { try AtomicFile.write("x", to: folder) }.contains("is a folder"))
      #expect(message { try AtomicFile.write("x", to: "\(folder)/none/x") }.contains("its folder does not exist"))
      #expect(message { try AtomicFile.write("x", to: "\(path)/x") }.contains("a part of that path is a file"))
      #expect(message { try AtomicFile.write("x", to: "/dev/null") }.contains("is a device"))
      #expect(message { try AtomicFile.write("x", to: "\(folder)/\(String(repeating: "n", count: 300))") }.contains("too long"))
    }
  }

  /// A limit on file sizes stops `write` half-way as a full disk does.
  @Test func writesThatRunOutOfRoomLeaveTheOldFile() async {
    await #expect(processExitsWith: .success) {
      signal(SIGXFSZ, SIG_IGN)
      try withTemporaryFolder { folder in
        let path = "\(folder)/model.safetensors"
        try AtomicFile.write("old", to: path)
        var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
        precondition(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
        let text = message { try AtomicFile.write([UInt8](repeating: 1, count: 1_000_000), to: path) }
        precondition(text.hasPrefix("\(path): the file grew past the size limit"), text)
        let (kept, names) = (try FileBytes.read(path), try FileManager.default.contentsOfDirectory(atPath: folder))
        precondition(kept == Array("old".utf8) && names == ["model.safetensors"], "\(names)")
      }
    }
  }

  // MARK: Kinds of files

  @Test func kindsAreFoundByReading() throws {
    for (name, kind) in [
      ("module.zip.pt", FileKind.pytorchZip), ("module.legacy.pt", .pytorchLegacy), ("tiny.ts", .torchScript), ("bytes.npz", .npz),
      ("expected.safetensors", .safetensors), ("contents.json", .unknown),
    ] { #expect(try FileContents.read(fixture(name)).kind == kind, "\(name)") }
    #expect(FileContents([0x1F, 0x8B, 8, 0], name: "f").kind == .gzip)
    #expect(FileContents([0, 0, 8, 3, 0, 0, 0, 1], name: "f").kind == .idx)
    #expect(FileContents(ZipBuilder(entries: [.init(name: "a.txt", data: [1])]).bytes(), name: "f").kind == .zip)
    #expect(FileContents([], name: "f").kind == .unknown)
    #expect(FileContents([0x80, 2, 0x7D, 0x2E], name: "f").kind == .unknown)
    // Cut-off files keep their kind, so that the reader's sentence says what is missing.
    for name in ["module.zip.pt", "bytes.npz", "expected.safetensors", "module.legacy.pt", "tiny.ts"] {
      let bytes = try FileBytes.read(fixture(name))
      #expect(FileContents(Array(bytes.prefix(bytes.count / 2)), name: "f").kind == FileContents(bytes, name: "f").kind, "\(name)")
    }
  }
}

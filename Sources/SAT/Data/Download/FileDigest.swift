internal import Foundation

enum FileDigest {
  /// Returns the SHA-256 of a file as 64 lower-case hexadecimal digits.
  ///
  /// The program sha256sum, which every Linux has, computes it, because a cryptography package would double the build time.
  static func sha256(ofFileAt path: String) throws(SATError) -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // sha256sum reads standard input, so its answer has no file name to unquote.
    process.arguments = ["sha256sum"]
    let output = Pipe()
    let answer: Data
    do {
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? file.close() }
      process.standardInput = file
      process.standardOutput = output
      process.standardError = FileHandle.nullDevice
      try process.run()
      answer = output.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
    } catch { throw SATError("cannot read \(path) to check it: \(SystemError.reason(error))") }
    let digest = String(decoding: answer.prefix(64), as: UTF8.self)
    guard process.terminationStatus == 0, digest.count == 64 else {
      throw SATError("cannot check \(path): the program sha256sum failed; install the Debian package coreutils")
    }
    return digest
  }
}

import ArgumentParser
import Foundation
import SAT
import SwiftTorch

/// The options that choose how a command prints its result and its progress.
struct OutputOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "Show no progress on standard error. Warnings still appear.") var quiet = false
  @Flag(help: "Print one JSON document on standard output, and nothing else.") var json = false
  @Option(help: .value("file", "File for the JSON document, in addition to the printed result.")) var jsonFile: String?

  /// Prepares the output before the work starts: applies --quiet and tests, without a trace, that the command can write its files.
  ///
  /// `work` is the first line of a long command. A nil file stands for an absent option. The command makes `folder` if it is
  /// missing; files may lie in it.
  ///
  /// - Throws: `TorchError` if a file cannot be written, `SATError` if it is an input, `ValidationError` if two outputs share it.
  func begin(
    _ work: String = "reading", writing files: String?..., reading inputs: InputFiles = InputFiles(), making folder: String? = nil
  ) throws {
    Terminal.standardError.isQuiet = quiet
    Terminal.standardError.announce(work)
    func standardized(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }
    let futureFolder = folder.flatMap { FileManager.default.fileExists(atPath: $0) ? nil : standardized($0) + "/" }
    let outputs = (files + [jsonFile]).compactMap { $0 }
    var seen: Set<String> = []
    for file in outputs {
      let path = URL(fileURLWithPath: file).resolvingSymlinksInPath().standardizedFileURL.path
      guard seen.insert(path).inserted || path.hasPrefix("/dev/") else {
        throw ValidationError("\(file) is named for two outputs, and one would replace the other; name a file for each.")
      }
      if let futureFolder, standardized(file).hasPrefix(futureFolder) { continue }
      try AtomicFile.check(file)
    }
    try inputs.refuseOverwrite(by: outputs)
  }

  /// Prints the result as JSON or text, then writes --json-file and the other files of the result.
  ///
  /// A failed write stops no other write; all failures are thrown at the end. The exception is a result that cannot be printed: it
  /// gets no JSON file, because a script could take that file for success.
  func deliver(_ document: some Encodable, text: @autoclosure () -> String, files: [() throws -> Void] = []) throws {
    Interruption.finishing()
    let encoded = try JSONText.encode(document) + "\n"
    var failures: [any Error] = []
    func attempt(_ write: () throws -> Void) { do { try write() } catch { failures.append(error) } }
    attempt { try StandardOutput.writePart(json ? encoded : text()) }
    if let jsonFile, failures.isEmpty { attempt { try AtomicFile.write(encoded, to: jsonFile) } }
    for write in files { attempt(write) }
    try StandardOutput.finish(failures)
  }
}

import ArgumentParser
import Foundation
import SAT
import SwiftTorch

/// What a command says, and where.
struct OutputOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "No progress on standard error.")
  var quiet = false

  @Flag(help: "Print one JSON document on standard output and nothing else.")
  var json = false

  @Option(help: ArgumentHelp("Also write the JSON document to a file.", valueName: "file"))
  var jsonFile: String?

  /// To be called before the work: sets how much is said, and finds out whether the files can be written that the result goes to.
  ///
  /// - Parameters:
  ///   - inputs: what the command reads, which no output may replace.
  ///   - folder: one that the command makes where it is not there; files may lie in it.
  /// - Throws: `TorchError` for the first file that cannot, `SATError` for one that is read, and `ValidationError` for one that is named
  ///   for two outputs; nothing is left of the attempt.
  func begin(writing files: String?..., reading inputs: InputFiles = InputFiles(), making folder: String? = nil) throws {
    Terminal.standardError.isQuiet = quiet
    func standard(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }
    let future = folder.flatMap { FileManager.default.fileExists(atPath: $0) ? nil : standard($0) + "/" }
    let outputs = (files + [jsonFile]).compactMap { $0 }
    var seen: Set<String> = []
    for file in outputs {
      let place = URL(fileURLWithPath: file).resolvingSymlinksInPath().standardizedFileURL.path
      guard seen.insert(place).inserted || place.hasPrefix("/dev/") else {
        throw ValidationError("\(file) is named for two outputs, of which one would replace the other; name a file for each.")
      }
      if let future, standard(file).hasPrefix(future) { continue }
      try AtomicFile.check(file)
    }
    try inputs.refuse(outputs)
  }

  /// Prints the result, as JSON or as text, and writes the file that was asked for and the other files of the result.
  ///
  /// What cannot be written keeps nothing else back, but where the result cannot be printed no JSON file is left to be taken for it.
  /// - Parameter files: write one file each.
  /// - Throws: what could not be written, after everything else was.
  func deliver(_ document: some Encodable, text: @autoclosure () -> String, files: [() throws -> Void] = []) throws {
    let encoded = try JSONText.encode(document) + "\n"
    var failures: [any Error] = []
    func attempt(_ write: () throws -> Void) { do { try write() } catch { failures.append(error) } }
    attempt { try StandardOutput.put(json ? encoded : text()) }
    if let jsonFile, failures.isEmpty { attempt { try AtomicFile.write(encoded, to: jsonFile) } }
    for write in files { attempt(write) }
    try StandardOutput.finish(failures)
  }
}

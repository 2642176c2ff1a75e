import Foundation
import SAT
import SwiftTorch
import Testing

/// The built `sat`, run as a user does.
enum Command {
  struct Outcome {
    var status: Int32
    var output: String
    var errors: String

    /// The one JSON document on standard output.
    var json: [String: Any] {
      (try? JSONSerialization.jsonObject(with: Data(output.utf8))) as? [String: Any] ?? [:]
    }

    /// Lines of standard error that are not progress.
    var sentence: String {
      errors.split(separator: "\n").filter { $0.hasPrefix("sat: ") || $0.hasPrefix("Error: ") }.joined(separator: "\n")
    }
  }

  /// The program beside the test bundle.
  static let path: String = {
    let bundle = ProcessInfo.processInfo.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
    return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("sat").path
  }()

  static func run(_ arguments: [String], in folder: String? = nil, environment: [String: String] = [:]) throws -> Outcome {
    try run(program: path, arguments, in: folder, environment: environment)
  }

  /// Runs a shell line in which `$SAT` is the program.
  static func shell(_ line: String, in folder: String) throws -> Outcome {
    try run(program: "/bin/bash", ["-c", line], in: folder, environment: ["SAT": path])
  }

  /// Runs the program and sends it a signal once a file is there and has some content, and some seconds after that; a minute later
  /// at the latest it is killed.
  static func run(
    _ arguments: [String], interruptingBy signal: Int32, onceThereIs file: String, holdingBytes bytes: Int = 0,
    after seconds: Double = 0
  ) throws -> Outcome {
    func isThere() -> Bool {
      let size = (try? FileManager.default.attributesOfItem(atPath: file)[.size]) as? Int
      return size.map { $0 >= bytes } ?? false
    }
    return try run(program: path, arguments, in: nil, environment: [:]) { process in
      for _ in 0..<6000 where process.isRunning && !isThere() { usleep(10_000) }
      usleep(UInt32(1e6 * seconds))
      kill(process.processIdentifier, signal)
      for _ in 0..<600 where process.isRunning { usleep(100_000) }
      if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
  }

  /// Runs the program and kills it after some seconds, unless it ends before; the status of a killed one is SIGKILL.
  static func run(_ arguments: [String], killingAfter seconds: Double) throws -> Outcome {
    try run(program: path, arguments, in: nil, environment: [:]) { process in
      let end = ContinuousClock.now + .seconds(seconds)
      while process.isRunning && ContinuousClock.now < end { usleep(2_000) }
      if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
  }

  /// Runs the program and kills it (SIGKILL) after so many milliseconds, unless it has ended.
  static func run(_ arguments: [String], killingAfter milliseconds: Int) throws -> Outcome {
    try run(program: path, arguments, in: nil, environment: [:]) { process in
      for _ in 0..<milliseconds / 20 where process.isRunning { usleep(20_000) }
      if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
  }

  private static func run(
    program: String, _ arguments: [String], in folder: String?, environment: [String: String],
    meanwhile: (Process) -> Void = { _ in }
  ) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    // Files rather than pipes, which would block a program that prints much.
    let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("sat-output-\(UUID().uuidString)").path
    for suffix in [".out", ".err"] { try Data().write(to: URL(fileURLWithPath: scratch + suffix)) }
    defer { for suffix in [".out", ".err"] { try? FileManager.default.removeItem(atPath: scratch + suffix) } }
    process.standardOutput = FileHandle(forWritingAtPath: scratch + ".out")
    process.standardError = FileHandle(forWritingAtPath: scratch + ".err")
    process.standardInput = FileHandle.nullDevice
    try process.run()
    meanwhile(process)
    process.waitUntilExit()
    func text(_ suffix: String) throws -> String { try String(contentsOfFile: scratch + suffix, encoding: .utf8) }
    return Outcome(status: process.terminationStatus, output: try text(".out"), errors: try text(".err"))
  }
}

extension Scratch {
  /// A LeNet-5 of four classes with fresh weights, and images it classifies correctly.
  func untrained(count: Int) throws -> (model: String, data: String) {
    let architecture = Architecture(name: "lenet5", options: ["classes": "4"])
    let network = NetworkClassifier(
      try architecture.make(generator: Generator(seed: 1)), architecture: architecture, normalization: nil)
    network.module.setTraining(false)
    try ModelFile.save(network, to: file("model.safetensors"))
    let images = Tensor.rand([count, 1, 28, 28], generator: Generator(seed: 2))
    let labels = try withNoGrad { try network.logits(images).argmax(dim: 1) }
    try SafeTensors(tensors: [("images", images), ("labels", labels)]).write(to: file("images.safetensors"))
    return (file("model.safetensors"), file("images.safetensors"))
  }

  /// A safetensors file of `count` synthetic 28 x 28 images in four classes: which quarter is bright.
  func images(_ name: String, count: Int, seed: UInt64 = 0) throws -> String {
    let generator = Generator(seed: seed)
    let labels = Tensor.randint(0..<4, [count], generator: generator)
    let noise = Tensor.rand([count, 1, 28, 28], generator: generator) * 0.3
    for (i, label) in labels.array(of: Int.self).enumerated() {
      let (row, column) = (14 * (label / 2), 14 * (label % 2))
      noise[i, 0, row..<row + 14, column..<column + 14].addInPlace(Tensor(Float(0.6)))
    }
    try SafeTensors(tensors: [("images", noise), ("labels", labels)]).write(to: file(name))
    return file(name)
  }
}

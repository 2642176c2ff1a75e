import ArgumentParser
import Foundation
import SAT
import SwiftTorch

extension Execution.Precision: ExpressibleByArgument {}
extension Execution.Layout: ExpressibleByArgument {}
extension Norm: ExpressibleByArgument {}
extension RunFolder.Checkpoint: ExpressibleByArgument {}
extension DataSource.Split: ExpressibleByArgument {}
extension ImageReading.Layout: ExpressibleByArgument {}

extension Fraction: ExpressibleByArgument {
  public init?(argument: String) {
    guard let fraction = try? Fraction(argument) else { return nil }
    self = fraction
  }
}

extension ArgumentHelp {
  /// Makes the help of an option from the name of its value and a text.
  static func value(_ name: String, _ text: String) -> ArgumentHelp { ArgumentHelp(text, valueName: name) }
}

/// Refuses a number outside its range as wrong usage.
func check(_ option: String, _ value: Int?, in range: ClosedRange<Int>) throws {
  guard let value, !range.contains(value) else { return }
  throw ValidationError("\(option) is \(value); expected \(range.lowerBound) to \(range.upperBound).")
}

/// Refuses a number outside its range as wrong usage. NaN is outside every range.
func check(_ option: String, _ value: Double?, in range: ClosedRange<Double>) throws {
  guard let value, !range.contains(value) else { return }
  throw ValidationError("\(option) is \(value); expected \(Fraction(range.lowerBound)) to \(Fraction(range.upperBound)).")
}

/// Splits NAME=VALUE; nil if the sign or the name is missing.
func nameAndValue(_ setting: String) -> (name: String, value: String)? {
  let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
  return parts.count == 2 && !parts[0].isEmpty ? (parts[0], parts[1]) : nil
}

struct ExecutionOptions: ParsableArguments {
  @Option(help: .value("device", "Device to compute on: cpu, cuda or cuda:N. Default: the best device present."))
  var device: String?

  @Option(help: .value("n", "Threads that an operator may use. Default: libtorch's choice.")) var threads: Int?
  @Option(help: "Precision of the network's passes: fp32, or bf16 by autocast. Default: fp32.") var precision: Execution.Precision?

  @Option(help: "Layout of images and weights: auto, contiguous or channels-last. Default: auto.")
  var memoryFormat: Execution.Layout?

  func validate() throws { try check("--threads", threads, in: Limit.threads) }

  func applied(to base: Execution = Execution()) -> Execution {
    Execution(
      device: device ?? base.device, threads: threads ?? base.threads, precision: precision ?? base.precision,
      attackPrecision: precision ?? base.attackPrecision, memoryFormat: memoryFormat ?? base.memoryFormat)
  }
}

struct DataOptions: ParsableArguments {
  @Option(help: .value("dir", "Folder that holds the data sets. Default: the variable SAT_DATA, else data/ in the current folder."))
  var dataRoot: String?

  var root: DataRoot { DataRoot(option: dataRoot) }
}

struct ArchitectureOptions: ParsableArguments {
  @Option(help: .value("name", "Network architecture, which a PyTorch state_dict does not contain. `sat models` lists the names."))
  var model: String?

  @Option(
    name: .customLong("model-option"),
    help: .value("key=value", "Option of the architecture, such as classes=100. May be repeated."))
  var modelOptions: [String] = []

  @Option(
    parsing: .upToNextOption,
    help: .value(
      "mean std",
      """
      Normalisation before the network: \(Normalization.named.map(\.name).joined(separator: ", ")), or MEAN STD as \
      comma-separated numbers.
      """))
  var normalize: [String] = []

  func validate() throws {
    if !modelOptions.isEmpty && model == nil {
      throw ValidationError("--model-option needs --model; add --model, or leave --model-option out.")
    }
  }

  static func parsed(_ texts: [String]) throws -> [String: String] {
    var options: [String: String] = [:]
    for option in texts {
      guard let (name, value) = nameAndValue(option) else {
        throw ValidationError("--model-option \(option) is not of the form key=value, such as classes=100.")
      }
      options[name] = value
    }
    return options
  }

  func architecture() throws -> Architecture? {
    try model.map { Architecture(name: $0, options: try Self.parsed(modelOptions)) }
  }

  func normalization() throws -> Normalization? { normalize.isEmpty ? nil : try Normalization(normalize.joined(separator: " ")) }
}

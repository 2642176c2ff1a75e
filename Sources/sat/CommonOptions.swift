import ArgumentParser
import Foundation
import SAT
import SwiftTorch

extension Execution.Precision: ExpressibleByArgument {}
extension Execution.Layout: ExpressibleByArgument {}
extension Norm: ExpressibleByArgument {}
extension RunFolder.Checkpoint: ExpressibleByArgument {}
extension DataSource.Split: ExpressibleByArgument {}

extension Fraction: ExpressibleByArgument {
  public init?(argument: String) {
    guard let fraction = try? Fraction(argument) else { return nil }
    self = fraction
  }
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

/// The options that choose device, threads, precision and memory format.
struct ExecutionOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Device to compute on: cpu, cuda or cuda:N. Default: the best device present.", valueName: "device"))
  var device: String?

  @Option(help: ArgumentHelp("Threads that an operator may use. Default: libtorch's choice.", valueName: "n")) var threads: Int?

  @Option(help: "Precision of the network's passes: fp32, or bf16 by autocast. Default: fp32.") var precision: Execution.Precision?

  @Option(help: "Layout of images and weights: auto, contiguous or channels-last. Default: auto.")
  var memoryFormat: Execution.Layout?

  func validate() throws { try check("--threads", threads, in: Limit.threads) }

  /// Returns an execution with the given options applied.
  func applied(to base: Execution = Execution()) -> Execution {
    Execution(
      device: device ?? base.device, threads: threads ?? base.threads, precision: precision ?? base.precision,
      attackPrecision: precision ?? base.attackPrecision, memoryFormat: memoryFormat ?? base.memoryFormat)
  }
}

/// The option that names the folder of the data sets.
struct DataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Folder that holds the data sets. Default: the variable SAT_DATA, else data/ in the current folder.", valueName: "dir"))
  var dataRoot: String?

  var root: DataRoot { DataRoot(option: dataRoot) }
}

/// The options that describe a network.
struct ArchitectureOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Network architecture, which a PyTorch state_dict does not contain. `sat models` lists the names.", valueName: "name"))
  var model: String?

  @Option(
    name: .customLong("model-option"),
    help: ArgumentHelp("Option of the architecture, such as classes=100. May be repeated.", valueName: "key=value"))
  var modelOptions: [String] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Normalisation before the network: cifar10, cifar100, imagenet, or MEAN STD as comma-separated numbers.",
      valueName: "mean std")) var normalize: [String] = []

  func validate() throws {
    if !modelOptions.isEmpty && model == nil {
      throw ValidationError("--model-option needs --model; add --model, or leave --model-option out.")
    }
  }

  /// Splits options of the form key=value.
  static func parsed(_ texts: [String]) throws -> [String: String] {
    var options: [String: String] = [:]
    for option in texts {
      let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw ValidationError("--model-option \(option) is not of the form key=value, such as classes=100.")
      }
      options[parts[0]] = parts[1]
    }
    return options
  }

  /// Returns the network that --model names; nil if the option is absent.
  func architecture() throws -> Architecture? {
    guard let model else { return nil }
    return Architecture(name: model, options: try Self.parsed(modelOptions))
  }

  /// Returns the value of --normalize; nil if the option is absent.
  func normalization() throws -> Normalization? { normalize.isEmpty ? nil : try Normalization(normalize.joined(separator: " ")) }
}

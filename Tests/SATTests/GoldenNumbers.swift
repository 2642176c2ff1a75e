import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// The weights, images and noise of the golden files, by the formula that the docstring of `make_fixtures.py` gives: an integer
/// hash, so that both sides have the same numbers without a file.
enum GoldenNumbers {
  static let images = 1000
  static let noise = 2000

  /// `shape` values offset + scale · v with v in [-1, 1), of stream `k`.
  static func values(_ shape: [Int], stream k: Int, scale: Double, offset: Double = 0) -> Tensor {
    let count = shape.reduce(1, *)
    let values = (0..<count).map { i -> Float in
      var h = UInt32(truncatingIfNeeded: i) &* 0x9E37_79B1 &+ UInt32(truncatingIfNeeded: k + 1) &* 0x85EB_CA77
      h = (h ^ (h >> 16)) &* 0x7FEB_352D
      h = (h ^ (h >> 15)) &* 0x846C_A68B
      h ^= h >> 16
      let v = 2 * (Double(h) / 4_294_967_296) - 1
      return Float(offset + scale * v)
    }
    return Tensor(values, shape: shape)
  }

  static func images(_ shape: [Int], stream: Int = images) -> Tensor { values(shape, stream: stream, scale: 0.5, offset: 0.5) }

  /// Fills a network's state by the formula, in `state_dict` order.
  static func fill(_ network: Module, gain: Double = 1) {
    for (k, (name, tensor)) in network.stateDict.enumerated() {
      let shape = tensor.shape
      let fanIn = Double(shape.dropFirst().reduce(1, *))
      switch name.split(separator: ".").last {
      case "running_mean", "running_var", "num_batches_tracked": continue
      case "bias": tensor.copyInPlace(from: values(shape, stream: k, scale: 0.1))
      default:
        let isMatrix = shape.count > 1
        tensor.copyInPlace(
          from: values(shape, stream: k, scale: isMatrix ? gain * (6 / fanIn).squareRoot() : 0.1, offset: isMatrix ? 0 : 1))
      }
    }
  }

  /// The numbers that the golden files keep for a large tensor.
  static func subset(_ tensor: Tensor) -> Tensor {
    let flat = tensor.contiguous().reshaped(to: -1)
    return flat[.stride(by: max(1, flat.count / 32))][
      ..<min(32, (flat.count + max(1, flat.count / 32) - 1) / max(1, flat.count / 32))]
  }

  /// Compares a network's state with the golden subsets and sums under `prefix`.
  static func expectState(
    _ network: Module, _ golden: GoldenTensors, _ prefix: String, absolute: Double,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for (name, tensor) in network.stateDict {
      expectClose(
        subset(tensor), try golden["\(prefix)/\(name)"], absolute: absolute, relative: 1e-5, name, sourceLocation: sourceLocation)
    }
    let sums = Tensor.stacked(network.stateDict.map { $0.tensor.to(.float64).sum() })
    expectClose(sums, try golden["\(prefix)/sums"], absolute: 2e-3, relative: 1e-4, "sums", sourceLocation: sourceLocation)
  }
}

/// A case of a golden file. A test's output shows its name.
protocol GoldenCase: Decodable, Sendable, CustomTestStringConvertible { var name: String { get } }

extension GoldenCase {
  var testDescription: String { name }
}

extension NetworkClassifier {
  /// Makes a network of the catalogue with the weights that a seed draws.
  convenience init(_ name: String, _ options: [String: String] = [:], seed: UInt64) throws {
    let architecture = Architecture(name: name, options: options)
    self.init(try architecture.make(generator: Generator(seed: seed)), architecture: architecture, normalization: nil)
  }

  /// Returns a network in evaluation mode with the weights of the golden files.
  static func golden(_ name: String, _ options: [String: String] = [:]) throws -> NetworkClassifier {
    let network = try NetworkClassifier(name, options, seed: 0)
    GoldenNumbers.fill(network.module)
    network.module.setTraining(false)
    return network
  }
}

/// Real data, where the machine has them: the variable SAT_TEST_DATA, else `../shared/data` beside the checkout.
enum RealData {
  static let folder: String? = {
    let named = ProcessInfo.processInfo.environment["SAT_TEST_DATA"]
    let beside = Fixtures.folder.appending(path: "../../../shared/data").standardizedFileURL.path(percentEncoded: false)
    return [named, beside].compactMap { $0 }.first { FileManager.default.fileExists(atPath: "\($0)/mnist") }
  }()

  /// The path of a file, or nil with a printed reason.
  static func path(_ name: String) -> String? {
    guard let folder, FileManager.default.fileExists(atPath: "\(folder)/\(name)") else {
      print("skipped: \(name) is not here; set SAT_TEST_DATA to the folder of the real data")
      return nil
    }
    return "\(folder)/\(name)"
  }
}

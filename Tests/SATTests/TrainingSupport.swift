import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// A folder with runs on a few synthetic images, which take milliseconds per step.
final class TrainingScratch {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("sat-training-\(UUID().uuidString)").path
  private let shape: [Int]

  /// - Parameter shape: the shape of the images, [C, H, W].
  init(_ shape: [Int] = [1, 28, 28], count: Int = 44) throws {
    self.shape = shape
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let labels = Tensor((0..<count).map { $0 % 4 })
    let images = GoldenNumbers.images([count] + shape)
    for (i, label) in labels.array(of: Int.self).enumerated() { images[i].multiplyInPlace(by: 0.25 * Double(label + 1)) }
    try SafeTensors(tensors: [("images", images), ("labels", labels)]).write(to: dataPath)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  var dataPath: String { "\(path)/data.safetensors" }

  /// One step of the inner attack, and five batches of 8 per epoch.
  func configuration(_ model: Architecture? = nil, method: String = "p-sat") throws -> TrainingConfiguration {
    var result = try Presets.configuration(named: "digits", method: method)
    result.data = dataPath
    result.model =
      model ?? (shape[0] == 1 ? Architecture(name: "cnn-a", options: ["channels": "1"]) : Architecture(name: "resnet20"))
    result.threat.epsilon = 0.1
    result.attack.steps = 2
    result.attack.stepSize = 0.05
    result.epochs = 2
    result.batchSize = 8
    result.execution.threads = 1
    let entry = try DefenseRegistry.entry(named: method)
    if entry.usesLambda { result.lambda = .constant(min(0.5, entry.lambdaRange.upperBound)) }
    return result
  }

  func trainer(_ configuration: TrainingConfiguration, run: String = "run", resume: Bool = false) throws -> Trainer {
    try Trainer(configuration, dataRoot: DataRoot(option: nil), folder: RunFolder("\(path)/\(run)"), resume: resume)
  }

  /// The weights in a run's checkpoint.
  func weights(_ run: String = "run", _ checkpoint: String = "last") throws -> [String: Tensor] {
    let file = try SafeTensors.read("\(path)/\(run)/\(checkpoint)/\(ModelFile.weightsName)")
    return Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.tensor) })
  }

  /// The lines of `metrics.jsonl` or `steps.jsonl`, without times.
  func lines(_ name: String, run: String = "run") throws -> [NSDictionary] {
    try String(contentsOfFile: "\(path)/\(run)/\(name)", encoding: .utf8).split(separator: "\n").map { line in
      var object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      for key in ["seconds", "dataSeconds", "processorSeconds", "samplesPerSecond", "time"] { object[key] = nil }
      return object as NSDictionary
    }
  }
}

/// Observes a run and calls closures after every batch or epoch.
final class Watch: TrainingObserver {
  var warnings: [String] = []
  /// The epochs with a started validation.
  var validated: [Int] = []
  var onBatch: () -> Void = {}
  var onEpoch: () -> Void = {}

  func batchDone(epoch: Int, batch: Int, batches: Int, loss: Double) { onBatch() }
  func validating(epoch: Int) { validated.append(epoch) }
  func epochDone(_ metrics: EpochMetrics, isBest: Bool) { onEpoch() }
  func warn(_ message: String) { warnings.append(message) }
}

/// Returns a copy of a network's current state.
func snapshot(_ network: NetworkClassifier) -> [String: Tensor] {
  Dictionary(uniqueKeysWithValues: network.module.stateDict.map { ($0.name, $0.tensor.cloned()) })
}

/// Fails unless both hold the same tensors bit for bit.
func expectSame(
  _ a: [String: Tensor], _ b: [String: Tensor], _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(a.keys.sorted() == b.keys.sorted(), sourceLocation: sourceLocation)
  for (name, tensor) in a {
    if let other = b[name] { expectIdentical(tensor, other, "\(what) \(name)", sourceLocation: sourceLocation) }
  }
}

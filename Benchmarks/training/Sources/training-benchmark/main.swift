// Trains one stretch of an epoch from given weights and prints one line of JSON, as reference.py does.
//
//   training-benchmark METHOD LAMBDA WEIGHTS BATCHES THREADS PRECISION [DATA BATCH STEPS EPSILON STEP]
//
// The network is that of the weights; data and attack are those of the digits preset where none are given.

import Foundation
import SAT
import SwiftTorch

struct Line: Encodable {
  var mode = "sat"
  var method: String
  var lambda: Double?
  var threads: Int
  var batches: Int
  var samples: Int
  var seconds: Double
  var secondsPerBatch: Double
  var peakMemoryMiB: Double
  var loss: Double
  var activeFraction: Double
}

func peakMemoryMiB() -> Double {
  var usage = rusage()
  getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_maxrss) / 1024
}

func run() throws {
  let arguments = CommandLine.arguments
  guard arguments.count == 7 || arguments.count == 12, let lambda = Double(arguments[2]), let batches = Int(arguments[4]), let threads = Int(arguments[5]),
    let precision = Execution.Precision(rawValue: arguments[6])
  else {
    throw SATError("usage: training-benchmark METHOD LAMBDA WEIGHTS BATCHES THREADS fp32|bf16 [DATA BATCH STEPS EPSILON STEP]")
  }
  Torch.keepHostMemory()
  try Torch.setThreadCount(threads)
  var configuration = try Presets.configuration(named: "digits", method: arguments[1])
  configuration.lambda = .constant(lambda)
  configuration.execution.attackPrecision = precision
  if arguments.count == 12 {
    guard let size = Int(arguments[8]), let steps = Int(arguments[9]) else { throw SATError("BATCH and STEPS are whole numbers") }
    (configuration.data, configuration.batchSize, configuration.attack.steps) = (arguments[7], size, steps)
    configuration.threat.epsilon = try Fraction(arguments[10])
    configuration.attack.stepSize = try Fraction(arguments[11])
  }
  let data = try DataSource(configuration.data).load(.train, root: DataRoot())
  let order = Tensor.randperm(data.count, generator: Generator(seed: 0)).split(size: configuration.batchSize)

  /// A network from the weights and its optimizer; the first is for a batch that is not counted.
  func trained(_ batches: Int) throws -> Line {
    let model = try ModelFile.load(
      path: arguments[3], checkpoint: "best", architecture: nil, normalization: nil, device: .cpu)
    guard let network = model.classifier as? NetworkClassifier else { throw SATError("\(arguments[3]) is not a network of sat") }
    network.execution = configuration.execution
    let optimizer = SGD(network.module.parameters, learningRate: 0.01, momentum: 0.9, weightDecay: 5e-4)
    let defense = try DefenseRegistry.entry(named: arguments[1]).make(
      DefenseSettings(
        maximizer: configuration.maximizer, lambda: configuration.lambda, options: configuration.methodOptions,
        trainingSize: data.count))
    let update = WeightUpdate(network, optimizer)
    let generator = Generator(seed: 0)
    network.module.setTraining(true)
    var (seconds, losses, active, samples) = (0.0, 0.0, 0.0, 0)
    for batch in order.prefix(batches) {
      let clock = ContinuousClock()
      let start = clock.now
      let (images, labels) = try data.batch(at: batch)
      let outcome = try defense.step(
        TrainingBatch(images: images.contiguous(.channelsLast), labels: labels, indices: batch, epoch: 0), update, generator: generator)
      losses += outcome.loss
      seconds += (clock.now - start) / .seconds(1)
      active += outcome.active.reduce(0, +) / Double(outcome.active.count)
      samples += batch.count
    }
    let count = min(batches, order.count)
    return Line(
      method: arguments[1], lambda: defense.lambda(at: 0), threads: Torch.threadCount, batches: count, samples: samples,
      seconds: seconds, secondsPerBatch: seconds / Double(count), peakMemoryMiB: peakMemoryMiB(), loss: losses / Double(count),
      activeFraction: active / Double(count))
  }

  _ = try trained(1)
  print(String(decoding: try JSONEncoder().encode(trained(batches)), as: UTF8.self))
}

do {
  try run()
} catch {
  FileHandle.standardError.write(Data("training-benchmark: \(error)\n".utf8))
  exit(1)
}

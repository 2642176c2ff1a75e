// Trains a number of batches from given weights. Prints one line of JSON, as reference.py does.
//
//   training-benchmark METHOD LAMBDA WEIGHTS BATCHES THREADS PRECISION [DATA BATCH STEPS EPSILON STEP]
//
// The weights name their network. Data and attack default to those of the digits preset.

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

/// Returns the largest resident set of this process, in MiB.
func peakMemoryMiB() -> Double {
  var usage = rusage()
  getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_maxrss) / 1024
}

/// The program's arguments.
struct Problem {
  var method: String
  var weights: String
  var batches: Int
  var threads: Int
  var configuration: TrainingConfiguration

  init(_ arguments: [String]) throws {
    guard arguments.count == 7 || arguments.count == 12, let lambda = Double(arguments[2]), let batches = Int(arguments[4]),
      let threads = Int(arguments[5]), let precision = Execution.Precision(rawValue: arguments[6])
    else {
      throw SATError("usage: training-benchmark METHOD LAMBDA WEIGHTS BATCHES THREADS fp32|bf16 [DATA BATCH STEPS EPSILON STEP]")
    }
    method = arguments[1]
    weights = arguments[3]
    self.batches = batches
    self.threads = threads
    configuration = try Presets.configuration(named: "digits", method: method)
    configuration.lambda = .constant(lambda)
    configuration.execution.attackPrecision = precision
    guard arguments.count == 12 else { return }
    guard let size = Int(arguments[8]), let steps = Int(arguments[9]) else {
      throw SATError("BATCH and STEPS must be whole numbers, but are \(arguments[8]) and \(arguments[9])")
    }
    configuration.data = arguments[7]
    configuration.batchSize = size
    configuration.attack.steps = steps
    configuration.threat.epsilon = try Fraction(arguments[10])
    configuration.attack.stepSize = try Fraction(arguments[11])
  }

  /// Trains a new copy of the network on the first batches and measures it.
  func train(on data: ImageDataset, batches: Int) throws -> Line {
    let order = Tensor.randperm(data.count, generator: Generator(seed: 0)).split(size: configuration.batchSize)
    let model = try ModelFile.load(path: weights, execution: Execution(device: "cpu", memoryFormat: .contiguous))
    guard let network = model.classifier as? NetworkClassifier else {
      throw SATError("\(weights) is not a network of sat; name the weights of a run or a .safetensors file")
    }
    network.execution = configuration.execution
    let optimizer = SGD(network.module.parameters, learningRate: 0.01, momentum: 0.9, weightDecay: 5e-4)
    let defense = try DefenseRegistry.entry(named: method).make(
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
        TrainingBatch(images: images.contiguous(.channelsLast), labels: labels, indices: batch, epoch: 0), update,
        generator: generator)
      losses += outcome.loss
      seconds += (clock.now - start) / .seconds(1)
      active += outcome.active.reduce(0, +) / Double(outcome.active.count)
      samples += batch.count
    }
    let count = min(batches, order.count)
    return Line(
      method: method, lambda: defense.lambda(at: 0), threads: Torch.threadCount, batches: count, samples: samples,
      seconds: seconds, secondsPerBatch: seconds / Double(count), peakMemoryMiB: peakMemoryMiB(), loss: losses / Double(count),
      activeFraction: active / Double(count))
  }
}

func run() throws {
  let problem = try Problem(CommandLine.arguments)
  Torch.keepHostMemory()
  try Torch.setThreadCount(problem.threads)
  let data = try DataSource(problem.configuration.data).load(.train, root: DataRoot())
  // The first batch pays for one-time set-up, so it is not counted.
  _ = try problem.train(on: data, batches: 1)
  print(String(decoding: try JSONEncoder().encode(problem.train(on: data, batches: problem.batches)), as: UTF8.self))
}

do {
  try run()
} catch {
  FileHandle.standardError.write(Data("training-benchmark: \(error)\n".utf8))
  exit(1)
}

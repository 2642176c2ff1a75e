// Times second derivatives of the MNIST network on test digits. Prints one line of JSON, as models/hessian_reference.py does.
//
//   hessian-benchmark images FILE SAMPLES                       writes the images for both programs
//   hessian-benchmark products WEIGHTS SAMPLES THREADS          products with the Hessian of the mean loss
//   hessian-benchmark per-sample WEIGHTS SAMPLES THREADS        dominant eigenvalue of every sample

import Foundation
import SAT
import SwiftTorch

struct Line: Encodable {
  var secondsPerProduct: Double?
  var eigenvalues: [Double]?
  var iterations: [Int]?
  var seconds: Double
  var peakMemoryMiB = 0.0
}

/// Returns the largest resident set of this process, in MiB.
func peakMemory() -> Double {
  var usage = rusage()
  getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_maxrss) / 1024
}

func run() throws {
  let arguments = CommandLine.arguments
  let usage = SATError("usage: hessian-benchmark images FILE SAMPLES | products|per-sample WEIGHTS SAMPLES THREADS")
  guard arguments.count >= 4, let samples = Int(arguments[3]) else { throw usage }
  let data = try DataSource("digits").load(.test, root: DataRoot())
  let (images, labels) = try data.batch(0..<samples)
  if arguments[1] == "images" {
    return try SafeTensors(tensors: [("images", images), ("labels", labels)]).write(to: arguments[2])
  }
  guard arguments.count == 5, let threads = Int(arguments[4]) else { throw usage }
  Torch.keepHostMemory()
  try Torch.setThreadCount(threads)
  let model = try ModelFile.load(
    path: arguments[2], checkpoint: .last, execution: Execution(device: "cpu", memoryFormat: .contiguous))
  let classifier = model.classifier
  let clock = ContinuousClock()
  let start = clock.now
  var line = Line(seconds: 0)
  if arguments[1] == "products" {
    let hessian = try LossHessian(classifier, images: images, labels: labels)
    let vector = Tensor.randn([hessian.size], generator: Generator(seed: 0))
    _ = try hessian.product(vector)
    line.secondsPerProduct = try (0..<5).map { _ in
      let start = clock.now
      _ = try hessian.product(vector)
      return (clock.now - start) / .seconds(1)
    }.min()
  } else {
    let spectrum = try PerSampleSpectrum.topEigenvalues(classifier, images: images, labels: labels)
    line.eigenvalues = spectrum.eigenvalues
    line.iterations = spectrum.iterations
  }
  line.seconds = (clock.now - start) / .seconds(1)
  line.peakMemoryMiB = peakMemory()
  print(String(decoding: try JSONEncoder().encode(line), as: UTF8.self))
}

do {
  try run()
} catch {
  FileHandle.standardError.write(Data("hessian-benchmark: \(error)\n".utf8))
  exit(1)
}

// Learns to tell two spirals apart, saves the weights and loads them again. Exits with 1 if the accuracy is low or changes.
import Foundation
import SwiftTorch

/// Returns `count` noisy points of two interleaved spirals as [count, 2], and the number of each point's spiral, 0 or 1.
func sample(_ count: Int, _ generator: Generator) -> (points: Tensor, labels: Tensor) {
  let labels = Tensor.randint(0..<2, [count], generator: generator)
  let turn = 0.25 + 1.5 * Tensor.rand([count], generator: generator)
  let angle = 2 * Double.pi * turn + Double.pi * labels
  let points = Tensor.stacked([turn * angle.cos(), turn * angle.sin()], dim: 1)
  return (points + 0.02 * Tensor.randn([count, 2], generator: generator), labels)
}

func makeModel(_ generator: Generator) -> Sequential {
  Sequential(
    Linear(2, 64, generator: generator), ReLU(), Linear(64, 64, generator: generator), ReLU(), Linear(64, 2, generator: generator))
}

func accuracy(_ model: Sequential, _ points: Tensor, _ labels: Tensor) -> Double {
  withNoGrad { model(points).argmax(dim: 1).equal(to: labels).to(.float32).mean().item() }
}

// One thread is faster, because the layers are small.
try Torch.setThreadCount(1)
let generator = Generator(seed: 1)
let (points, labels) = sample(1000, generator)
let (unseenPoints, unseenLabels) = sample(1000, generator)
let model = makeModel(generator)
let optimizer = SGD(model.parameters, learningRate: 0.1, momentum: 0.9, weightDecay: 1e-4)
let schedule = LearningRateSchedule.multiStep([60, 80])

for epoch in 0..<90 {
  optimizer.learningRate = schedule.rate(0.1, at: Double(epoch))
  var total = 0.0
  for batch in Tensor.randperm(1000, generator: generator).split(size: 50) {
    let loss = model(points[batch]).crossEntropy(labels[batch])
    optimizer.clearGradients()
    loss.backward()
    optimizer.step()
    total += loss.item() * Double(batch.count)
  }
  if (epoch + 1) % 15 == 0 { print("epoch \(epoch + 1): training loss \(total / 1000)") }
}

let learned = accuracy(model, unseenPoints, unseenLabels)
print("accuracy on unseen points: \(learned)")

do {
  let path = FileManager.default.temporaryDirectory.appending(path: "spirals-\(UUID().uuidString).safetensors").path(
    percentEncoded: false)
  defer { try? FileManager.default.removeItem(atPath: path) }
  try SafeTensors(tensors: model.stateDict, metadata: ["accuracy": "\(learned)"]).write(to: path)

  let restored = makeModel(generator)
  let before = accuracy(restored, unseenPoints, unseenLabels)
  try restored.loadStateDict(SafeTensors.read(path).tensors, source: path)
  let after = accuracy(restored, unseenPoints, unseenLabels)
  print("accuracy of a new network: \(before); with the saved weights: \(after)")
  exit(learned > 0.97 && after == learned ? 0 : 1)
} catch {
  print(error)
  exit(1)
}

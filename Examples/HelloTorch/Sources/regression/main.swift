// Fits a small network to noisy samples of a sine. Exits with 1 if the error is large.
import Glibc
import SwiftTorch

/// Returns `count` points x in [-3, 3], and sin(2x) plus Gaussian noise of standard deviation 0.1. Each has the shape [count, 1].
func sample(_ count: Int, _ generator: Generator) -> (x: Tensor, y: Tensor) {
  let x = Tensor.rand([count, 1], generator: generator) * 6 - 3
  return (x, (2 * x).sin() + 0.1 * Tensor.randn([count, 1], generator: generator))
}

/// A network is a class with its layers as properties. The properties give the parameters PyTorch's names, such as "hidden.weight".
final class Curve: Module, Layer {
  let hidden: Linear
  let middle: Linear
  let output: Linear

  init(width: Int, generator: Generator) {
    hidden = Linear(1, width, generator: generator)
    middle = Linear(width, width, generator: generator)
    output = Linear(width, 1, generator: generator)
  }

  func callAsFunction(_ x: Tensor) -> Tensor { output(middle(hidden(x).tanh()).tanh()) }
}

// One thread is faster, because the layers are small.
try Torch.setThreadCount(1)
let generator = Generator(seed: 0)
let (x, y) = sample(512, generator)
let model = Curve(width: 48, generator: generator)
let optimizer = Adam(model.parameters, learningRate: 0.01)
let schedule = LearningRateSchedule.cosine(120)

for epoch in 0..<120 {
  optimizer.learningRate = schedule.rate(0.01, at: Double(epoch))
  var total = 0.0
  for batch in Tensor.randperm(512, generator: generator).split(size: 64) {
    let loss = model(x[batch]).meanSquaredError(y[batch])
    optimizer.clearGradients()
    loss.backward()
    optimizer.step()
    total += loss.item() * Double(batch.count)
  }
  if (epoch + 1) % 20 == 0 { print("epoch \(epoch + 1): training loss \(total / 512)") }
}

let (unseenX, unseenY) = sample(1000, generator)
let error = withNoGrad { model(unseenX).meanSquaredError(unseenY).item() }
print("mean squared error on unseen points: \(error); the noise alone gives 0.01")
exit(error < 0.015 ? 0 : 1)

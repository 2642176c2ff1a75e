// The Swift program of the dispatch benchmark. cpp/dispatch.cpp does the same with libtorch alone. `run` compares them.
import Glibc
import SwiftTorch

/// Returns the processor time of this process in nanoseconds. Other programs on the same core do not lengthen it.
func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

/// Returns the nanoseconds of one call: the median over `blocks` blocks of `calls` calls each.
func measure(blocks: Int, calls: Int, _ body: () -> Void) -> Double {
  for _ in 0..<2 * calls { body() }
  let times = (0..<blocks).map { _ in
    let start = now()
    for _ in 0..<calls { body() }
    return (now() - start) / Double(calls)
  }
  return times.sorted()[blocks / 2]
}

/// Returns wave(k)[i] = sin(0.37 i + k), the same numbers as the C++ program. Clones them, because libtorch is slower on views.
func wave(_ shape: [Int], _ k: Int, _ scale: Double) -> Tensor {
  ((Tensor.arange(0..<shape.reduce(1, *)).to(.float64) * 0.37 + k).sin() * scale).to(.float32).reshaped(to: shape).cloned()
}

func makeNetwork() -> Sequential {
  let width = 64
  return Sequential(
    (0..<10).flatMap { k -> [any Layer] in
      let linear = Linear(width, width, generator: Generator(seed: 0))
      withNoGrad {
        _ = linear.weight.value.copyInPlace(from: wave([width, width], k, 0.2))
        linear.bias!.value.copyInPlace(from: wave([width], k, 0.1))
      }
      return [linear, ReLU()]
    })
}

func inputGradient(_ network: Sequential, _ input: Tensor) -> Tensor {
  let x = input.detached().requireGrad()
  return Tensor.gradient(of: network(x).sum(), withRespectTo: x)
}

func run() throws {
  try Torch.setThreadCount(1)
  let (a, b) = (wave([8], 1, 1), wave([8], 2, 1))
  let add = withNoGrad { measure(blocks: 31, calls: 20_000) { _ = a + b } }
  let (network, input) = (makeNetwork(), wave([1, 64], 3, 1))
  let gradient = measure(blocks: 31, calls: 200) { _ = inputGradient(network, input) }
  let checksum = (a + b).abs().sum().item() + inputGradient(network, input).abs().sum().item()
  print(add, gradient, checksum)
}

try run()

internal import SwiftTorch

/// The pairs of pixels that a convolution kernel multiplies when two windows form a scalar product.
///
/// Pair (i, j) belongs to positions (p, q) if one kernel entry meets pixel i in the window at p and pixel j in the window at q. The
/// pixels of a pair are a multiple of the stride apart. Pixels with the same remainder, called a phase, therefore only pair with
/// each other.
struct KernelPairs {
  private let stride: Int
  private let input: (height: Int, width: Int)
  /// The size of a phase; the last phase may reach beyond the input.
  private let phase: (height: Int, width: Int)
  private let output: (height: Int, width: Int)

  /// The reach of a kernel row or column inside the input: the phase of its pixels, the pixels, and the outputs they serve.
  private typealias Reach = (phase: Int, pixels: Range<Int>, outputs: Range<Int>)
  private let rows: [Reach]
  private let columns: [Reach]

  init(_ layer: Conv2d, _ call: LayerCall) {
    let stride = layer.stride
    self.stride = stride
    input = (call.input.size(2), call.input.size(3))
    output = (call.adjoint.size(2), call.adjoint.size(3))
    phase = ((input.height + stride - 1) / stride, (input.width + stride - 1) / stride)
    func reaches(_ kernel: Int, _ pixels: Int, _ outputs: Int) -> [Reach] {
      (0..<kernel).compactMap { entry in
        let offset = entry * layer.dilation - layer.padding
        let remainder = ((offset % stride) + stride) % stride
        let shift = (offset - remainder) / stride
        let inside = max(0, -shift)..<max(min(outputs, pixels - shift), max(0, -shift))
        return inside.isEmpty ? nil : (remainder, inside.lowerBound + shift..<inside.upperBound + shift, inside)
      }
    }
    rows = reaches(layer.weight.value.size(2), phase.height, output.height)
    columns = reaches(layer.weight.value.size(3), phase.width, output.width)
  }

  /// Rearranges a tensor of the input's shape by phases, to [N, phases, channels, pixels].
  func phases(_ input: Tensor) -> Tensor {
    let (count, channels) = (input.size(0), input.size(1))
    if stride == 1 { return input.contiguous().reshaped(to: count, 1, channels, -1) }
    let (bottom, right) = (phase.height * stride - self.input.height, phase.width * stride - self.input.width)
    let whole = bottom + right > 0 ? input.padded([0, right, 0, bottom]) : input
    return whole.reshaped(to: count, channels, phase.height, stride, phase.width, stride).permuted(0, 3, 5, 1, 2, 4)
      .reshaped(to: count, stride * stride, channels, -1)
  }

  /// Reverses `phases`.
  func merged(_ phases: Tensor) -> Tensor {
    let (count, channels) = (phases.size(0), phases.size(2))
    if stride == 1 { return phases.reshaped(to: count, channels, input.height, input.width) }
    let whole = phases.reshaped(to: count, stride, stride, channels, phase.height, phase.width).permuted(0, 3, 4, 1, 5, 2)
      .reshaped(to: count, channels, phase.height * stride, phase.width * stride)
    return whole[.all, .all, 0..<input.height, 0..<input.width]
  }

  /// The shapes, without the batch, of values at pairs of pixels, at pairs summed over kernel rows, and at pairs of positions.
  private var pixelShape: [Int] { [stride, stride, phase.height, phase.width, phase.height, phase.width] }
  private var rowShape: [Int] { [stride, output.height, phase.width, output.height, phase.width] }
  private var positionShape: [Int] { [output.height, output.width, output.height, output.width] }

  /// Sums over the pairs of pixels, from [N, phases, pixels, pixels] to [N, positions, positions].
  func gathered(_ products: Tensor) -> Tensor {
    let count = products.size(0)
    let byRow = added(products.reshaped(to: [count] + pixelShape), rows, rowShape, from: pixels, to: outputs)
    return added(byRow, columns, positionShape, from: pixels, to: outputs).reshaped(to: count, output.height * output.width, -1)
  }

  /// Applies the adjoint of `gathered`, from [N, positions, positions] to [N, phases, pixels, pixels].
  func spread(_ values: Tensor) -> Tensor {
    let count = values.size(0)
    let byRow = added(values.reshaped(to: [count] + positionShape), columns, rowShape, from: outputs, to: pixels)
    return added(byRow, rows, pixelShape, from: outputs, to: pixels)
      .reshaped(to: count, stride * stride, phase.height * phase.width, -1)
  }

  /// The values that a reach reads before its kernel axis is summed, and those it serves after.
  private func pixels(_ values: Tensor, _ reach: Reach) -> Tensor {
    values[.all, reach.phase, .all, reach.pixels, .all, reach.pixels]
  }
  private func outputs(_ values: Tensor, _ reach: Reach) -> Tensor { values[.all, .all, reach.outputs, .all, reach.outputs] }

  /// Returns zeros of a shape, with the values of every reach added to their targets.
  private func added(
    _ values: Tensor, _ reaches: [Reach], _ shape: [Int], from source: (Tensor, Reach) -> Tensor,
    to target: (Tensor, Reach) -> Tensor
  ) -> Tensor {
    let sums = Tensor.zeros([values.size(0)] + shape, dtype: values.dtype, device: values.device)
    for reach in reaches { target(sums, reach).addInPlace(source(values, reach)) }
    return sums
  }
}

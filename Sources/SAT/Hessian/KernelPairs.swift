internal import SwiftTorch

/// Which pairs of pixels the entries of a kernel put side by side: (i, j) belongs to the positions (p, q) where, for one entry, the
/// window at p has i there and the window at q has j.
///
/// Such pixels are a multiple of the stride apart. So those of one remainder, a phase, are among themselves.
struct KernelPairs {
  private let stride: Int
  private let input: (height: Int, width: Int)
  /// Of a phase; the last one may reach beyond the input.
  private let phase: (height: Int, width: Int)
  private let output: (height: Int, width: Int)

  /// Of a row, or column, of the kernel: the phase of the pixels it meets, and which of them for which outputs, where they are inside.
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

  /// A tensor of the input's shape by phases, [N, phases, channels, pixels].
  func phases(_ input: Tensor) -> Tensor {
    let (count, channels) = (input.size(0), input.size(1))
    if stride == 1 { return input.contiguous().reshaped(to: count, 1, channels, -1) }
    let (bottom, right) = (phase.height * stride - self.input.height, phase.width * stride - self.input.width)
    let whole = bottom + right > 0 ? input.padded([0, right, 0, bottom]) : input
    return whole.reshaped(to: count, channels, phase.height, stride, phase.width, stride).permuted(0, 3, 5, 1, 2, 4)
      .reshaped(to: count, stride * stride, channels, -1)
  }

  /// The opposite of `phases`.
  func merged(_ phases: Tensor) -> Tensor {
    let (count, channels) = (phases.size(0), phases.size(2))
    if stride == 1 { return phases.reshaped(to: count, channels, input.height, input.width) }
    let whole = phases.reshaped(to: count, stride, stride, channels, phase.height, phase.width).permuted(0, 3, 4, 1, 5, 2)
      .reshaped(to: count, channels, phase.height * stride, phase.width * stride)
    return whole[.all, .all, 0..<input.height, 0..<input.width]
  }

  /// Sums over the pairs of pixels: [N, phases, pixels, pixels] to [N, positions, positions].
  func gathered(_ products: Tensor) -> Tensor {
    let count = products.size(0)
    func zeros(_ shape: Int...) -> Tensor { Tensor.zeros(shape, dtype: products.dtype, device: products.device) }
    let all = products.reshaped(to: count, stride, stride, phase.height, phase.width, phase.height, phase.width)
    let byRow = zeros(count, stride, output.height, phase.width, output.height, phase.width)
    for row in rows {
      byRow[.all, .all, row.outputs, .all, row.outputs].addInPlace(all[.all, row.phase, .all, row.pixels, .all, row.pixels])
    }
    let sums = zeros(count, output.height, output.width, output.height, output.width)
    for column in columns {
      sums[.all, .all, column.outputs, .all, column.outputs].addInPlace(byRow[.all, column.phase, .all, column.pixels, .all, column.pixels])
    }
    return sums.reshaped(to: count, output.height * output.width, -1)
  }

  /// The adjoint of `gathered`: [N, positions, positions] to [N, phases, pixels, pixels].
  func spread(_ values: Tensor) -> Tensor {
    let count = values.size(0)
    func zeros(_ shape: Int...) -> Tensor { Tensor.zeros(shape, dtype: values.dtype, device: values.device) }
    let all = values.reshaped(to: count, output.height, output.width, output.height, output.width)
    let byRow = zeros(count, stride, output.height, phase.width, output.height, phase.width)
    for column in columns {
      byRow[.all, column.phase, .all, column.pixels, .all, column.pixels].addInPlace(all[.all, .all, column.outputs, .all, column.outputs])
    }
    let sums = zeros(count, stride, stride, phase.height, phase.width, phase.height, phase.width)
    for row in rows {
      sums[.all, row.phase, .all, row.pixels, .all, row.pixels].addInPlace(byRow[.all, .all, row.outputs, .all, row.outputs])
    }
    return sums.reshaped(to: count, stride * stride, phase.height * phase.width, -1)
  }
}

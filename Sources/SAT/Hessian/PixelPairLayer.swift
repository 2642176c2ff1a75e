internal import SwiftTorch

/// A convolution that computes its images from scalar products of pixels instead of windows.
///
/// Windows overlap: a kernel of 6 x 6 at a stride of 2 reads every pixel nine times. ⟨a_p, a_q⟩ of two windows is the sum of
/// ⟨a_i, a_j⟩ over the pairs of pixels (i, j) in `KernelPairs`, so the code multiplies pixels and writes no window.
struct PixelPairLayer: PerSampleLayer {
  private let call: LayerCall
  private let pairs: KernelPairs
  /// The input a by phases, [N, phases, channels, pixels].
  private let pixels: Tensor
  /// The gradient D, [N, outputs, positions].
  private let adjoint: Tensor
  /// The products ⟨a_p, a_q⟩ of windows, plus 1 for a bias, [N, positions, positions].
  private let windowProducts: Tensor
  /// The products ⟨D_p, D_q⟩ spread over the pixels, [N, phases, pixels, pixels].
  private let adjointProducts: Tensor

  var kept: [Tensor] { [pixels, adjoint, windowProducts, adjointProducts] }

  /// Prepares a convolution in one group whose input depends on other layers.
  init(_ call: LayerCall, _ layer: Conv2d) {
    self.call = call
    pairs = KernelPairs(layer, call)
    pixels = pairs.phases(call.input)
    adjoint = call.adjoint.contiguous().flattened(from: 2)
    let products = pairs.gathered(pixels.transposed(2, 3).matmul(pixels))
    windowProducts = layer.bias == nil ? products : products + 1.0
    adjointProducts = pairs.spread(adjoint.transposed(1, 2).matmul(adjoint))
  }

  /// Returns the multiplications per sample and vector; an addition in gathering or spreading counts as one.
  static func cost(_ call: LayerCall, _ layer: Conv2d) -> Int {
    let (pixels, positions) = (call.input.size(2) * call.input.size(3), call.adjoint.size(2) * call.adjoint.size(3))
    let phases = layer.stride * layer.stride
    let (channels, outputs, kernel) = (call.input.size(1), call.adjoint.size(1), layer.weight.value.size(2))
    return 3 * channels * pixels * pixels / phases + 3 * outputs * positions * positions + 3 * kernel * pixels * positions
  }

  func images(_ adjointChange: Tensor, _ inputChange: Tensor?) -> (tangent: Tensor, cotangent: Tensor?) {
    let x = adjointChange.contiguous().flattened(from: 2)
    let y = inputChange.map { pairs.phases($0) }
    var tangent = x.matmul(windowProducts)
    if let y { tangent = adjoint.matmul(pairs.gathered(y.transposed(2, 3).matmul(pixels)), addingTo: tangent) }
    var cotangent = pixels.matmul(pairs.spread(x.transposed(1, 2).matmul(adjoint)))
    if let y { cotangent += y.matmul(adjointProducts) }
    return (tangent.reshaped(to: call.adjoint.shape), pairs.merged(cotangent))
  }
}

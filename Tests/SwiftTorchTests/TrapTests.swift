import SwiftTorch
import Testing

/// A programming error, and the parts that its message on standard error must contain.
private struct Misuse: Sendable, CustomTestStringConvertible {
  let name: String
  let says: [String]
  let body: @Sendable () -> Void

  var testDescription: String { name }

  init(_ name: String, _ says: [String], _ body: @escaping @Sendable () -> Void) {
    self.name = name
    self.says = says
    self.body = body
  }

  static func find(_ name: String) -> Misuse? { misuses.first { $0.name == name } }
}

private func read(_ tensor: Tensor) { _ = tensor.count }

private let misuses: [Misuse] = [
  Misuse("add", ["add.Tensor: The size of tensor a (3) must match the size of tensor b (4)", "[2, 3] and [4]"]) {
    read(.ones(2, 3) + .ones(4))
  },
  Misuse("matmul", ["matmul: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", "[2, 3] and [4, 5]"]) {
    read(Tensor.ones(2, 3).matmul(.ones(4, 5)))
  },
  Misuse("cat", ["cat: Sizes of tensors must match except in dimension 0", "[1, 2] and [1, 3]"]) {
    read(.concatenated([.ones(1, 2), .ones(1, 3)]))
  },
  Misuse("reshape", ["reshape: shape '[4, 2]' is invalid for input of size 6", "[2, 3]"]) {
    read(Tensor.ones(2, 3).reshaped(to: 4, 2))
  },
  Misuse("conv2d", ["conv2d: Given groups=1, weight of size [4, 3, 3, 3]", "[1, 2, 8, 8] and [4, 3, 3, 3]"]) {
    read(Tensor.ones(1, 2, 8, 8).conv2d(weight: .ones(4, 3, 3, 3)))
  },
  Misuse("cross-entropy", ["cross_entropy_loss: ", "Target 7 is out of bounds", "[1, 3] and [1]"]) {
    read(Tensor.ones(1, 3).crossEntropy(Tensor([7])))
  },
  Misuse("dtype", ["linear: ", "float", "double", "[1, 2] and [1, 2]"]) {
    read(Tensor.ones(1, 2).linear(weight: .ones(1, 2, dtype: .float64)))
  },
  Misuse("in place on a leaf", ["add_.Tensor: ", "a leaf Variable that requires grad", "[2] and [2]"]) {
    Tensor.ones(2).requireGrad().addInPlace(.ones(2))
  },
  Misuse("index out of range", ["select.int: ", "index 5 out of range", "[2, 3]"]) { read(Tensor.ones(2, 3)[.all, 5]) },
  Misuse("too many indices", ["subscript: 3 indices for a tensor of shape [2, 3]"]) { read(Tensor.ones(2, 3)[0, 0, 0]) },
  Misuse("backward stride", ["slice.Tensor: slice step must be positive"]) { read(Tensor.ones(4)[.stride(by: -1)]) },
  Misuse("mask of another shape", ["index.Tensor: ", "[2] and [3]"]) { read(Tensor.ones(2)[Tensor([true, false, true])]) },
  Misuse("item of many", ["item(): the tensor has shape [2]; expected one element"]) { _ = Tensor.ones(2).item() },
  Misuse("array of another type", ["array(of: Double): the tensor is float32, not float64; convert with to(_:)"]) {
    _ = Tensor.ones(2).array(of: Double.self)
  },
  Misuse("size of no dimension", ["size(2): the tensor has shape [2, 3]"]) { _ = Tensor.ones(2, 3).size(2) },
  Misuse("elements that do not fill the shape", ["Tensor of shape [2, 2]: ", "needs 16 bytes, got 12"]) {
    read(Tensor([1, 2, 3] as [Float], shape: [2, 2]))
  },
  Misuse("ragged rows", ["Tensor of rows: every row must have 2 elements"]) { read(Tensor([[1, 2], [3]])) },
  Misuse("a view in place", ["withElements: ", "is not contiguous"]) {
    _ = Tensor.ones(2, 3).transposed(0, 1).withElements(of: Float.self) { $0.count }
  },
  Misuse("backward of many", ["backward: grad can be implicitly created only for scalar outputs", "[2]"]) {
    (Tensor.ones(2).requireGrad() * 2).backward()
  },
  Misuse("gradient of many", ["gradient: grad can be implicitly created only for scalar outputs", "[2]"]) {
    let x = Tensor.ones(2).requireGrad()
    read(.gradient(of: x * 2, withRespectTo: x))
  },
  Misuse("gradient of the unrelated", ["gradient: ", "appears to not have been used in the graph"]) {
    let (x, y) = (Tensor.ones(2).requireGrad(), Tensor.ones(2).requireGrad())
    read(.gradient(of: (x * 2).sum(), withRespectTo: y))
  },
  Misuse("backward twice", ["backward: Trying to backward through the graph a second time"]) {
    let loss = Tensor.ones(2).requireGrad().exp().sum()
    loss.backward()
    loss.backward()
  },
  Misuse("gradient of whole numbers", ["requireGrad: ", "floating point"]) { Tensor([1, 2]).requireGrad() },
  Misuse("gradient of another shape", ["grad: the gradient is ", "[3]", "[2]"]) {
    Tensor.ones(2).requireGrad().grad = Tensor.ones(3)
  },
  Misuse("dropout", ["dropout: p is 1.0; expected 0 <= p < 1"]) { read(Tensor.ones(2).dropout(1, generator: Generator(seed: 0))) },
  Misuse("convolution groups", ["Conv2d: 2 groups do not divide 3 inputs and 4 outputs"]) {
    _ = Conv2d(3, 4, kernel: 3, groups: 2, generator: Generator(seed: 0))
  },
  Misuse("nesterov", ["SGD: Nesterov needs a momentum and no dampening"]) { _ = SGD([], learningRate: 0.1, nesterov: true) },
  Misuse("fan of a vector", ["a weight of shape [3] has no fan"]) {
    Initialization.kaimingUniform(.ones(3), generator: Generator(seed: 0))
  },
  Misuse("schedule without points", ["piecewiseLinear: expected at least one point"]) {
    _ = LearningRateSchedule.piecewiseLinear([])
  },
]

@Suite struct TrapTests {
  @Test(arguments: misuses) fileprivate func misuseTrapsAndSaysWhy(_ misuse: Misuse) async throws {
    let run = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [name = misuse.name as String] in
      Misuse.find(name)!.body()
    }
    let message = String(decoding: run.standardErrorContent, as: UTF8.self)
    for part in misuse.says { #expect(message.contains(part), "standard error is: \(message.prefix(600))") }
    #expect(!message.contains("Exception raised from"))
  }
}

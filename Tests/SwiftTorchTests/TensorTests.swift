import SwiftTorch
import Testing

@Suite struct TensorTests {
  // MARK: Creation

  @Test func hostDataComesBackInEveryElementType() {
    func roundTrip<Element: TensorElement & Equatable>(_ values: [Element], _ dtype: DType, shape: [Int]) {
      let tensor = Tensor(values, shape: shape)
      #expect(tensor.dtype == dtype)
      #expect(tensor.shape == shape)
      #expect(tensor.array(of: Element.self) == values)
      #expect(tensor.hostBytes().count == values.count * dtype.size)
      let again = Tensor(bytes: tensor.hostBytes()[...], shape: shape, dtype: dtype)
      #expect(again.array(of: Element.self) == values)
      #expect(tensor.withElements(of: Element.self) { span in (0..<span.count).map { span[$0] } } == values)
    }
    roundTrip([1.5, -2.25, 0] as [Float], .float32, shape: [3])
    roundTrip([0.1, -1e300] as [Double], .float64, shape: [2, 1])
    roundTrip([0.5, -65504] as [Float16], .float16, shape: [2])
    roundTrip([Int.min, -1, Int.max], .int64, shape: [1, 3])
    roundTrip([Int32.min, Int32.max], .int32, shape: [2])
    roundTrip([Int16.min, Int16.max], .int16, shape: [2])
    roundTrip([Int8.min, 127], .int8, shape: [2])
    roundTrip([0, 255] as [UInt8], .uint8, shape: [2])
    roundTrip([true, false, true, true], .bool, shape: [2, 2])
    roundTrip([Float](), .float32, shape: [0, 3])
  }

  @Test func factoriesGiveTheirClosedForms() {
    #expect(Tensor.zeros(2, 3).array(of: Float.self) == [0, 0, 0, 0, 0, 0])
    #expect(Tensor.ones([2], dtype: .int64).array(of: Int.self) == [1, 1])
    #expect(Tensor.full([3], 2.5, dtype: .float64).array(of: Double.self) == [2.5, 2.5, 2.5])
    #expect(Tensor.arange(2..<9, step: 3).array(of: Int.self) == [2, 5, 8])
    #expect(Tensor.linspace(from: -1, to: 1, count: 5).array(of: Float.self) == [-1, -0.5, 0, 0.5, 1])
    #expect(Tensor.eye(2).array(of: Float.self) == [1, 0, 0, 1])
    #expect(Tensor(7).shape == [])
    #expect(Tensor(7).item() == 7)
    #expect(Tensor([[1, 2, 3], [4, 5, 6]] as [[Float]]).shape == [2, 3])
    let like = Tensor.ones([2, 2], dtype: .float64)
    #expect(Tensor.zeros(like: like).dtype == .float64)
    #expect(Tensor.full(like: like, 3).array(of: Double.self) == [3, 3, 3, 3])
  }

  @Test func conversionRoundsAndTruncatesAsPyTorch() {
    let values = Tensor([-1.7, 0.4, 2.9] as [Float])
    #expect(values.to(.int64).array(of: Int.self) == [-1, 0, 2])
    #expect(values.to(.bool).array(of: Bool.self) == [true, true, true])
    #expect(values.to(.bfloat16).to(.float32).array(of: Float.self) == [-1.703125, 0.400390625, 2.90625])
    #expect(values.to(.float32).isSame(as: values))
    #expect(values.to(.cpu).isSame(as: values))
    #expect([2.5, 3.5, -0.5].map { Tensor($0).rounded().item() } == [2, 4, 0])
  }

  // MARK: Arithmetic

  @Test func scalarOperandsWorkOnBothSides() {
    let x = Tensor([1, 2, 4] as [Float])
    #expect((x + 1).array(of: Float.self) == [2, 3, 5])
    #expect((10 - x).array(of: Float.self) == [9, 8, 6])
    #expect((x - 0.5).array(of: Float.self) == [0.5, 1.5, 3.5])
    #expect((2 * x / 4).array(of: Float.self) == [0.5, 1, 2])
    #expect((1 / x).array(of: Float.self) == [1, 0.5, 0.25])
    #expect((-x).array(of: Float.self) == [-1, -2, -4])
    // PyTorch divides whole numbers as real numbers.
    expectClose(1.5 / Tensor([2, 4]), Tensor([0.75, 0.375] as [Float]))
    #expect((Tensor([7]) / 2).dtype == .float32)
  }

  @Test func dtypesArePromotedAsInPyTorch() {
    let (integer, half, single, double) = (
      Tensor([1]), Tensor([1] as [Float16]), Tensor([1] as [Float]), Tensor([1] as [Double])
    )
    #expect((integer + half).dtype == .float16)
    #expect((half + single).dtype == .float32)
    #expect((single + double).dtype == .float64)
    #expect((integer + 1).dtype == .int64)
    #expect((integer + 1.5).dtype == .float32)
    #expect((single * 2.0).dtype == .float32)
    #expect((Tensor([true]) + 1).dtype == .int64)
  }

  @Test(arguments: [([3], [2, 1], [2, 3]), ([2, 1, 4], [3, 1], [2, 3, 4]), ([], [5], [5]), ([0, 1], [1, 3], [0, 3])])
  func shapesBroadcast(_ a: [Int], _ b: [Int], _ expected: [Int]) {
    #expect((Tensor.ones(a) * Tensor.ones(b)).shape == expected)
    #expect((Tensor.ones(b) - Tensor.ones(a)).shape == expected)
  }

  @Test func compoundAssignmentRebindsAndInPlaceMutates() {
    let original = Tensor([1, 2] as [Float])
    var rebound = original
    rebound += Tensor([10, 10] as [Float])
    rebound *= Tensor([2, 2] as [Float])
    #expect(original.array(of: Float.self) == [1, 2])
    #expect(rebound.array(of: Float.self) == [22, 24])
    let view = original[1...]
    let same = original.addInPlace(Tensor([1, 1] as [Float]), alpha: 3).multiplyInPlace(by: 2)
    #expect(same.isSame(as: original))
    #expect(view.array(of: Float.self) == [10])
    #expect(view.storageIdentifier == original.storageIdentifier)
    #expect(original.cloned().storageIdentifier != original.storageIdentifier)
  }

  @Test func inPlaceOperationsGiveTheirFormulas() {
    func start() -> Tensor { Tensor([1, -2, 3] as [Float]) }
    let (a, b) = (Tensor([2, 3, 4] as [Float]), Tensor([5, 6, 8] as [Float]))
    #expect(start().addProductInPlace(a, b, value: 0.5).array(of: Float.self) == [6, 7, 19])
    #expect(start().addQuotientInPlace(b, a, value: -2).array(of: Float.self) == [-4, -6, -1])
    #expect(start().interpolateInPlace(to: b, weight: 0.25).array(of: Float.self) == [2, 0, 4.25])
    #expect(start().clampInPlace(to: -1...1).array(of: Float.self) == [1, -1, 1])
    #expect(start().fillInPlace(4).array(of: Float.self) == [4, 4, 4])
    #expect(start().zeroInPlace().array(of: Float.self) == [0, 0, 0])
    #expect(start().copyInPlace(from: Tensor(9)).array(of: Float.self) == [9, 9, 9])
    #expect(start().copyInPlace(from: Tensor([7, 8] as [Float]), at: Tensor([2, 0])).array(of: Float.self) == [8, -2, 7])
    #expect(start().multiplyInPlace(by: a).array(of: Float.self) == [2, -6, 12])
    #expect(start().reluInPlace().array(of: Float.self) == [1, 0, 3])
    #expect(Tensor([1, 2]).addInPlace(Tensor([3, 4])).array(of: Int.self) == [4, 6])
  }

  @Test func pointwiseFunctionsGiveTheirClosedForms() {
    let x = Tensor([0.25, 1, 4] as [Double])
    let e = 2.718281828459045
    expectClose(x.exp().log(), x)
    expectClose(x.sqrt(), Tensor([0.5, 1, 2]))
    expectClose(x.rsqrt(), Tensor([2, 1, 0.5]))
    expectClose(x.square(), Tensor([0.0625, 1, 16]))
    expectClose(x.pow(1.5), Tensor([0.125, 1, 8]))
    expectClose(Tensor([1.0]).exp(), Tensor([e]))
    expectClose(x.sin().square() + x.cos().square(), Tensor.ones([3], dtype: .float64))
    expectClose(x.tanh(), 2 * (2 * x).sigmoid() - 1)
    let signed = Tensor([-1.5, 0, 2.5] as [Double])
    expectClose(signed.abs(), Tensor([1.5, 0, 2.5]))
    expectClose(signed.sign(), Tensor([-1.0, 0, 1]))
    expectClose(signed.floor(), Tensor([-2.0, 0, 2]))
    expectClose(signed.ceil(), Tensor([-1.0, 0, 3]))
    expectClose(signed.remainder(2), Tensor([0.5, 0, 0.5]))
    expectClose(signed.floorDivided(by: 2), Tensor([-1.0, 0, 1]))
    expectClose(signed.clamped(to: -1...1), Tensor([-1.0, 0, 1]))
    expectClose(signed.clamped(to: 0...), Tensor([0, 0, 2.5]))
    expectClose(signed.clamped(to: ...0), Tensor([-1.5, 0, 0]))
    expectClose(signed.clamped(between: signed - 1, and: Tensor([-2.0, -1, 9])), Tensor([-2.0, -1, 2.5]))
    expectClose(signed.maximum(-signed), signed.abs())
    expectClose(signed.minimum(-signed), -signed.abs())
    expectClose(signed.adding(x, alpha: -2), Tensor([-2.0, -2, -5.5]))
  }

  @Test func matrixProductsGiveTheirClosedForms() {
    let a = Tensor([[1, 2], [3, 4]] as [[Float]])
    let b = Tensor([[0, 1], [1, 0]] as [[Float]])
    #expect(a.matmul(b).array(of: Float.self) == [2, 1, 4, 3])
    #expect(a.matmul(Tensor([1, -1] as [Float])).array(of: Float.self) == [-1, -1])
    #expect(Tensor.ones(3, 2, 4).matmul(Tensor.ones(4, 5)).shape == [3, 2, 5])
    #expect(Tensor([1, 2, 3] as [Float]).dot(Tensor([4, 5, 6] as [Float])).item() == 32)
  }

  // MARK: Shape

  @Test func shapeOperationsKeepValuesInOrder() {
    let x = Tensor.arange(0..<6).reshaped(to: 2, -1)
    #expect(x.shape == [2, 3])
    #expect(x.strides == [3, 1])
    #expect((x.size(-1), x.ndim, x.count) == (3, 2, 6))
    let t = x.transposed(0, 1)
    #expect(t.strides == [1, 3])
    #expect(!t.isContiguous())
    #expect(t.array(of: Int.self) == [0, 3, 1, 4, 2, 5])
    #expect(t.contiguous().strides == [2, 1])
    #expect(x.contiguous().isSame(as: x))
    #expect(x.unsqueezed(dim: 1).shape == [2, 1, 3])
    #expect(x.unsqueezed(dim: 1).squeezed().shape == [2, 3])
    #expect(x.unsqueezed(dim: 0).squeezed(dim: 1).shape == [1, 2, 3])
    #expect(x.flattened().array(of: Int.self) == [0, 1, 2, 3, 4, 5])
    #expect(Tensor.zeros(2, 3, 4, 5).flattened(from: 1, through: 2).shape == [2, 12, 5])
    #expect(Tensor.zeros(2, 3, 4).permuted(2, 0, 1).shape == [4, 2, 3])
    #expect(x.flipped(dims: [1]).array(of: Int.self) == [2, 1, 0, 5, 4, 3])
    #expect(x[0..<1].expanded(to: [2, 3]).array(of: Int.self) == [0, 1, 2, 0, 1, 2])
    #expect(x.tiled([1, 2]).array(of: Int.self) == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5])
    #expect(x.asStrided(size: [2, 2], stride: [2, 1], offset: 1).array(of: Int.self) == [1, 2, 3, 4])
    #expect(Tensor([1] as [Float]).padded([1, 2], value: 9).array(of: Float.self) == [9, 1, 9, 9])
    let image = Tensor.arange(0..<16).reshaped(to: 1, 1, 4, 4)
    #expect(image.pixelUnshuffled(2)[0, 3].array(of: Int.self) == [5, 7, 13, 15])
    let channelsLast = Tensor.zeros(2, 3, 4, 5).contiguous(.channelsLast)
    #expect(channelsLast.strides == [60, 1, 15, 3])
    #expect(channelsLast.isContiguous(.channelsLast) && !channelsLast.isContiguous())
  }

  @Test func joiningAndSplittingAreInverse() {
    let x = Tensor.arange(0..<10).reshaped(to: 5, 2)
    let pieces = x.split(size: 2)
    #expect(pieces.map(\.shape) == [[2, 2], [2, 2], [1, 2]])
    expectIdentical(.concatenated(pieces), x)
    let columns = x.chunked(2, dim: 1)
    expectIdentical(.concatenated(columns, dim: 1), x)
    expectIdentical(.stacked([x[.all, 0], x[.all, 1]], dim: 1), x)
  }
}

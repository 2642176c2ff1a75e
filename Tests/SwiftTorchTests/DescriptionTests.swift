import SwiftTorch
import Testing

@Suite struct DescriptionTests {
  @Test func scalarsAndVectors() {
    #expect("\(Tensor(2.5 as Float))" == "Tensor(2.5000, shape: [], dtype: float32)")
    #expect("\(Tensor([1, -20]))" == "Tensor([1, -20], shape: [2], dtype: int64)")
    #expect("\(Tensor([true, false]))" == "Tensor([true, false], shape: [2], dtype: bool)")
    #expect("\(Tensor.zeros(0, 3))" == "Tensor([], shape: [0, 3], dtype: float32)")
    #expect("\(Tensor([0.5] as [Double]).requireGrad())" == "Tensor([0.5000], shape: [1], dtype: float64)")
  }

  @Test(arguments: [
    (0.0, "0.0000"), (-0.123456, "-0.1235"), (123456.78906, "123456.7891"), (0.99996, "1.0000"), (1e-4, "0.0001"),
    (0.000012345, "1.2345e-5"), (-1.5e20, "-1.5000e20"), (9.99996e7, "1.0000e8"), (.infinity, "inf"), (-.infinity, "-inf"),
    (.nan, "nan"),
  ])
  func numbers(_ value: Double, _ text: String) {
    #expect("\(Tensor([value]))" == "Tensor([\(text)], shape: [1], dtype: float64)")
  }

  @Test func wholeNumbersAreExact() {
    #expect("\(Tensor([Int.max, Int.min]))".contains("[9223372036854775807, -9223372036854775808]"))
    #expect("\(Tensor([UInt8.max]))".contains("[255]"))
  }

  @Test func matricesAreIndentedByRow() {
    let text = "\(Tensor([[1, 2], [3, 4]]))"
    #expect(text == "Tensor([[1, 2],\n        [3, 4]], shape: [2, 2], dtype: int64)")
  }

  @Test func largeTensorsShowTheirRimsOnly() {
    let text = "\(Tensor.arange(0..<2000).reshaped(to: 2, 1000))"
    #expect(text.hasPrefix("Tensor([[0, 1, 2, …, 997, 998, 999],\n"))
    #expect(text.contains("[1000, 1001, 1002, …, 1997, 1998, 1999]"))
    #expect(text.hasSuffix("shape: [2, 1000], dtype: int64)"))
    #expect("\(Tensor.zeros(1000, 1000, 100))".count < 3000)
    #expect(!"\(Tensor.arange(0..<1000))".contains("…"))
  }
}

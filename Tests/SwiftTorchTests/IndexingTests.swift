import SwiftTorch
import Testing

/// A subscript of `torch.arange(24).reshape(2, 3, 4)`. The expectation is PyTorch's result for the expression in `name`.
private struct Case: Sendable, CustomTestStringConvertible {
  let name: String
  let shape: [Int]
  let values: [Int]
  let subscripted: @Sendable (Tensor) -> Tensor

  var testDescription: String { name }

  init(_ name: String, _ shape: [Int], _ values: some Sequence<Int>, _ subscripted: @escaping @Sendable (Tensor) -> Tensor) {
    self.name = name
    self.shape = shape
    self.values = Array(values)
    self.subscripted = subscripted
  }

  init(_ name: String, _ values: [Int], assigning: @escaping @Sendable (Tensor) -> Void) {
    self.init(name, [2, 3], values) {
      assigning($0)
      return $0
    }
  }
}

private var rows: Tensor { Tensor([1, 0]) }
private var columns: Tensor { Tensor([2, 0]) }

private let views: [Case] = [
  Case("x[0]", [3, 4], 0..<12) { $0[0] },
  Case("x[-1]", [3, 4], 12..<24) { $0[-1] },
  Case("x[0, 1, 2]", [], [6]) { $0[0, 1, 2] },
  Case("x[0:1]", [1, 3, 4], 0..<12) { $0[0..<1] },
  Case("x[1:]", [1, 3, 4], 12..<24) { $0[1...] },
  Case("x[:, -2:]", [2, 2, 4], Array(4..<12) + Array(16..<24)) { $0[.all, (-2)...] },
  Case("x[:, :2]", [2, 2, 4], Array(0..<8) + Array(12..<20)) { $0[.all, ..<2] },
  Case("x[:, :2] closed", [2, 2, 4], Array(0..<8) + Array(12..<20)) { $0[.all, ...1] },
  Case("x[0, :, :-1]", [3, 3], [0, 1, 2, 4, 5, 6, 8, 9, 10]) { $0[0, .all, ...(-2)] },
  Case("x[:, :, :]", [2, 3, 4], 0..<24) { $0[.all, .all, ...(-1)] },
  Case("x[:, -3:]", [2, 3, 4], 0..<24) { $0[.all, (-3)...(-1)] },
  Case("x[1, :, -3:-1]", [3, 2], [13, 14, 17, 18, 21, 22]) { $0[1, .all, (-3)..<(-1)] },
  Case("x[..., 0]", [2, 3], [0, 4, 8, 12, 16, 20]) { $0[.ellipsis, 0] },
  Case("x[0, ...]", [3, 4], 0..<12) { $0[0, .ellipsis] },
  Case("x[1, ..., 1:3]", [3, 2], [13, 14, 17, 18, 21, 22]) { $0[1, .ellipsis, 1...2] },
  Case("x[...]", [2, 3, 4], 0..<24) { $0[.ellipsis] },
  Case("x[None]", [1, 2, 3, 4], 0..<24) { $0[.newAxis] },
  Case("x[:, None, 1]", [2, 1, 4], Array(4..<8) + Array(16..<20)) { $0[.all, .newAxis, 1] },
  Case("x[..., None]", [2, 3, 4, 1], 0..<24) { $0[.ellipsis, .newAxis] },
  Case("x[0, None, None, 2]", [1, 1, 4], 8..<12) { $0[0, .newAxis, .newAxis, 2] },
  Case("x[:, :, ::2]", [2, 3, 2], stride(from: 0, to: 24, by: 2)) { $0[.all, .all, .stride(by: 2)] },
  Case("x[:, :, 1::3]", [2, 3, 1], stride(from: 1, to: 24, by: 4)) { $0[.all, .all, .stride(from: 1, by: 3)] },
  Case("x[1, 0:3:2]", [2, 4], Array(12..<16) + Array(20..<24)) { $0[1, .stride(from: 0, to: 3, by: 2)] },
  Case("x[0, 1:99]", [2, 4], 4..<12) { $0[0, 1..<99] },
  Case("x[:, 3:]", [2, 0, 4], []) { $0[.all, 3...] },
]

private let copies: [Case] = [
  Case("x[rows]", [2, 3, 4], Array(12..<24) + Array(0..<12)) { $0[rows] },
  Case("x[0, rows]", [2, 4], [4, 5, 6, 7, 0, 1, 2, 3]) { $0[0, rows] },
  Case("x[:, rows, columns]", [2, 2], [6, 0, 18, 12]) { $0[.all, rows, columns] },
  Case("x[rows, :, columns]", [2, 3], [14, 18, 22, 0, 4, 8]) { $0[rows, .all, columns] },
  Case("x[rows, 1]", [2, 4], [16, 17, 18, 19, 4, 5, 6, 7]) { $0[rows, 1] },
  Case("x[0, rows, None]", [2, 1, 4], [4, 5, 6, 7, 0, 1, 2, 3]) { $0[0, rows, .newAxis] },
  Case("x[None, rows]", [1, 2, 3, 4], Array(12..<24) + Array(0..<12)) { $0[.newAxis, rows] },
  Case("x[[[0, 1], [1, 1]], 0, 0]", [2, 2], [0, 12, 12, 12]) { $0[Tensor([[0, 1], [1, 1]]), 0, 0] },
  Case("x[:, [-1], 0]", [2, 1], [8, 20]) { $0[.all, Tensor([-1]), 0] },
  Case("x[x % 5 == 0]", [5], [0, 5, 10, 15, 20]) { $0[$0.remainder(5).equal(to: 0)] },
  Case("x[0, mask, 1:3]", [2, 2], [1, 2, 9, 10]) { $0[0, Tensor([true, false, true]), 1..<3] },
  Case("x[:, x[0] > 5]", [2, 6], Array(6..<12) + Array(18..<24)) { $0[.all, $0[0].greater(than: 5)] },
]

/// Assignments to int64 zeros of shape [2, 3], with PyTorch's results.
private let assignments: [Case] = [
  Case("y[0] = [1, 2, 3]", [1, 2, 3, 0, 0, 0]) { $0[0] = Tensor([1, 2, 3]) },
  Case("y[:, 1:] = 7", [0, 7, 7, 0, 7, 7]) { $0[.all, 1...] = Tensor(7) },
  Case("y[y == 0] = 4", [4, 4, 4, 4, 4, 4]) { $0[$0.equal(to: 0)] = Tensor(4) },
  Case("y[:, [2, 0]] = [[1, 2], [3, 4]]", [2, 0, 1, 4, 0, 3]) { $0[.all, columns] = Tensor([[1, 2], [3, 4]]) },
  Case("y[..., -1] = [5, 6]", [0, 0, 5, 0, 0, 6]) { $0[.ellipsis, -1] = Tensor([5, 6]) },
  Case("y[:, ::2] = [[1], [2]]", [1, 0, 1, 2, 0, 2]) { $0[.all, .stride(by: 2)] = Tensor([[1], [2]]) },
  Case("y[1, [0, 1]] = [8, 9]", [0, 0, 0, 8, 9, 0]) { $0[1, Tensor([0, 1])] = Tensor([8, 9]) },
  Case("y[[True, False]] = [8, 9, 10]", [8, 9, 10, 0, 0, 0]) { $0[Tensor([true, false])] = Tensor([8, 9, 10]) },
]

@Suite struct IndexingTests {
  private var x: Tensor { Tensor.arange(0..<24).reshaped(to: 2, 3, 4) }

  private func check(_ result: Tensor, _ expected: Case) {
    #expect(result.shape == expected.shape)
    #expect(result.array(of: Int.self) == expected.values)
  }

  @Test(arguments: views) fileprivate func viewsShareStorage(_ expected: Case) {
    let x = x
    let result = expected.subscripted(x)
    check(result, expected)
    #expect(result.storageIdentifier == x.storageIdentifier)
  }

  @Test(arguments: copies) fileprivate func masksAndPositionsCopy(_ expected: Case) {
    let x = x
    let result = expected.subscripted(x)
    check(result, expected)
    #expect(result.storageIdentifier != x.storageIdentifier)
  }

  @Test(arguments: assignments) fileprivate func assignmentWritesInPlace(_ expected: Case) {
    let y = Tensor.zeros(2, 3, dtype: .int64)
    let alias = y[.all]
    check(expected.subscripted(y), expected)
    #expect(alias.array(of: Int.self) == expected.values)
  }

  @Test func indexingIsDifferentiable() {
    let x = Tensor([1, 2, 3] as [Float]).requireGrad()
    let loss = (x[Tensor([2, 2])] * Tensor([1, 10] as [Float])).sum() + x[0] + x[..<2].sum()
    #expect(Tensor.gradient(of: loss, withRespectTo: x).array(of: Float.self) == [2, 1, 11])
  }

  @Test func selectionByPositionHasItsClosedForms() {
    let m = Tensor([[1, 2, 3], [4, 5, 6]])
    #expect(m.selecting(Tensor([2, 0]), dim: 1).array(of: Int.self) == [3, 1, 6, 4])
    #expect(m.gathered(dim: 1, at: Tensor([[2], [0]])).array(of: Int.self) == [3, 4])
    #expect(m.scattering(9, dim: 1, at: Tensor([[2], [0]])).array(of: Int.self) == [1, 2, 9, 9, 5, 6])
    #expect(m.array(of: Int.self) == [1, 2, 3, 4, 5, 6], "scattering works on a copy")
    #expect(Tensor([2, 0]).oneHot(classes: 3).array(of: Int.self) == [0, 0, 1, 1, 0, 0])
  }
}

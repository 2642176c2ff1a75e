import SwiftTorch
import Testing

@Suite struct ReductionTests {
  private var x: Tensor { Tensor([[3, 1, 2], [-1, 5, 0]] as [[Float]]) }

  @Test func reductionsGiveTheirClosedForms() {
    #expect(x.sum().item() == 10)
    #expect(x.sum(dim: 0).array(of: Float.self) == [2, 6, 2])
    #expect(x.sum(dims: [0, 1], keepDim: true).shape == [1, 1])
    #expect(x.mean(dim: -1).array(of: Float.self) == [2, 4 / 3])
    #expect(x.max().item() == 5)
    #expect(x.max(dims: [0]).array(of: Float.self) == [3, 5, 2])
    #expect(x.min(dims: [1], keepDim: true).array(of: Float.self) == [1, -1])
    #expect(x.argmax().item() == 4)
    #expect(x.argmax(dim: 1).array(of: Int.self) == [0, 1])
    #expect(x.argmin(dim: 0, keepDim: true).array(of: Int.self) == [1, 0, 1])
    #expect(x.product().item() == 0)
    #expect((x + 2).product().item() == 5 * 3 * 4 * 1 * 7 * 2)
    #expect(x.cumulativeSum(dim: 1).array(of: Float.self) == [3, 4, 6, -1, 4, 4])
    #expect(Tensor([true, false]).all().item() == 0)
    #expect(Tensor([true, false]).any().item() == 1)
    #expect(x.greater(than: 0).all(dim: 1).array(of: Bool.self) == [true, false])
    #expect(x.greater(than: 2).any(dim: 0).array(of: Bool.self) == [true, true, false])
    #expect(Tensor([UInt8](repeating: 200, count: 3)).sum().item() == 600)
  }

  @Test func spreadAndNormsGiveTheirClosedForms() {
    let y = Tensor([1, 2, 3, 4] as [Double])
    expectClose(y.variance(), Tensor(5.0 / 3))
    expectClose(y.variance(correction: 0), Tensor(1.25))
    expectClose(y.standardDeviation(), Tensor((5.0 / 3).squareRoot()))
    expectClose(y.norm(), Tensor(30.0.squareRoot()))
    expectClose(y.norm(1), Tensor(10.0))
    expectClose(y.norm(.infinity), Tensor(4.0))
    expectClose(y.reshaped(to: 2, 2).norm(dims: [1]), Tensor([(5.0 as Double).squareRoot(), 5]))
    expectClose(y.quantile(0.5), Tensor(2.5))
    // exp(1000) would overflow.
    expectClose(Tensor([1000.0, 1000]).logSumExp(dim: 0), Tensor(1000.6931471805599))
  }

  @Test func sortingIsStableAndTopKInOrder() {
    let y = Tensor([2, 1, 2, 3, 1] as [Float])
    let (values, indices) = y.sorted()
    #expect(values.array(of: Float.self) == [1, 1, 2, 2, 3])
    #expect(indices.array(of: Int.self) == [1, 4, 0, 2, 3])
    #expect(y.sorted(descending: true).indices.array(of: Int.self) == [3, 0, 2, 1, 4])
    #expect(x.topK(2).values.array(of: Float.self) == [3, 2, 5, 0])
    #expect(x.topK(1, dim: 0, largest: false).indices.array(of: Int.self) == [1, 0, 1])
    #expect(x.less(than: 1).nonzero().array(of: Int.self) == [1, 0, 1, 2])
  }

  @Test func comparisonsAgreeWithSwift() {
    let (a, b): ([Float], [Float]) = ([1, 2, 3, .nan], [2, 2, 2, .nan])
    let (x, y) = (Tensor(a), Tensor(b))
    func bools(_ tensor: Tensor) -> [Bool] { tensor.array(of: Bool.self) }
    #expect(bools(x.equal(to: y)) == zip(a, b).map { $0 == $1 })
    #expect(bools(x.notEqual(to: y)) == zip(a, b).map { $0 != $1 })
    #expect(bools(x.less(than: y)) == zip(a, b).map { $0 < $1 })
    #expect(bools(x.lessOrEqual(to: y)) == zip(a, b).map { $0 <= $1 })
    #expect(bools(x.greater(than: y)) == zip(a, b).map { $0 > $1 })
    #expect(bools(x.greaterOrEqual(to: y)) == zip(a, b).map { $0 >= $1 })
    #expect(bools(x.equal(to: 2)) == a.map { $0 == 2 })
    #expect(bools(x.notEqual(to: 2)) == a.map { $0 != 2 })
    #expect(bools(x.less(than: 2)) == a.map { $0 < 2 })
    #expect(bools(x.lessOrEqual(to: 2)) == a.map { $0 <= 2 })
    #expect(bools(x.greater(than: 2)) == a.map { $0 > 2 })
    #expect(bools(x.greaterOrEqual(to: 2)) == a.map { $0 >= 2 })
    #expect(bools(x.isNaN()) == [false, false, false, true])
    #expect(bools(Tensor([1, Float.infinity]).isFinite()) == [true, false])
    let (p, q) = (Tensor([true, true, false, false]), Tensor([true, false, true, false]))
    #expect(bools(p && q) == [true, false, false, false])
    #expect(bools(p || q) == [true, true, true, false])
    #expect(bools(!p) == [false, false, true, true])
    #expect(x.isEqual(to: x) == false, "NaN is unequal to itself")
    #expect(x[..<3].isEqual(to: Tensor([1, 2, 3] as [Float])))
    #expect(!x[..<3].isEqual(to: Tensor([[1, 2, 3]] as [[Float]])))
    #expect(Tensor([1.0]).isClose(to: Tensor([1.0 + 1e-6])) && !Tensor([1.0]).isClose(to: Tensor([1.001])))
    #expect(x.replacing(with: -x, where: x.greater(than: 1))[..<3].array(of: Float.self) == [1, -2, -3])
  }
}

import SwiftTorch
import Testing

@Suite struct AutogradTests {
  @Test func gradientsGiveTheirClosedForms() {
    let x = Tensor([1, 2, 3] as [Double]).requireGrad()
    let y = Tensor([4, 5, 6] as [Double]).requireGrad()
    let gradients = Tensor.gradient(of: (x.pow(3) * y).sum(), withRespectTo: [x, y])
    expectClose(gradients[0], Tensor([12.0, 60, 162]))
    expectClose(gradients[1], Tensor([1.0, 8, 27]))
    let seeded = Tensor.gradient(of: x.square(), withRespectTo: x, seed: Tensor([1.0, 10, 100]))
    expectClose(seeded, Tensor([2.0, 40, 600]))
  }

  @Test func higherDerivativesNeedCreateGraph() {
    let x = Tensor([0.5, -1.5] as [Double]).requireGrad()
    let first = Tensor.gradient(of: x.sin().sum(), withRespectTo: x, createGraph: true)
    let second = Tensor.gradient(of: first.sum(), withRespectTo: x, createGraph: true)
    let third = Tensor.gradient(of: second.sum(), withRespectTo: x)
    expectClose(first, withNoGrad { x.cos() })
    expectClose(second, withNoGrad { -x.sin() })
    expectClose(third, withNoGrad { -x.cos() })
    #expect(first.requiresGrad && !third.requiresGrad)
  }

  @Test func gradientLeavesNoTraceInTheWeights() {
    let layer = Linear(3, 2, generator: Generator(seed: 1))
    let x = Tensor.ones(4, 3).requireGrad()
    let gradient = Tensor.gradient(of: layer(x).sum(), withRespectTo: x)
    expectClose(gradient, withNoGrad { layer.weight.value.sum(dim: 0).expanded(to: [4, 3]) })
    #expect(x.grad == nil)
    #expect(layer.parameters.allSatisfy { $0.value.grad == nil })
  }

  @Test func backwardAccumulatesInLeavesOnly() throws {
    let x = Tensor([1, 2] as [Float]).requireGrad()
    let middle = x * 3
    (middle * middle).sum().backward()
    #expect(try #require(x.grad).array(of: Float.self) == [18, 36])
    #expect(middle.grad == nil && !middle.isLeaf && x.isLeaf)
    (x * 2).backward(Tensor([1, 10] as [Float]))
    #expect(try #require(x.grad).array(of: Float.self) == [20, 56])
    x.grad = nil
    #expect(x.grad == nil)
  }

  @Test func aGraphIsKeptOnRequest() throws {
    let x = Tensor([2] as [Double]).requireGrad()
    let loss = x.exp().sum()
    loss.backward(retainGraph: true)
    loss.backward()
    expectClose(try #require(x.grad), withNoGrad { 2 * x.exp() })
  }

  @Test func checkedGradientReportsInsteadOfTrapping() throws {
    let x = Tensor([1, 2] as [Float]).requireGrad()
    let unused = Tensor([1] as [Float]).requireGrad()
    let loss = x.square().sum()
    #expect(try Tensor.checkedGradient(of: loss, withRespectTo: unused, retainGraph: true) == nil)
    let found = try #require(try Tensor.checkedGradient(of: loss, withRespectTo: x))
    #expect(found.array(of: Float.self) == [2, 4])
    expectTorchError(["does not require grad"]) { _ = try Tensor.checkedGradient(of: loss.detached(), withRespectTo: x) }
  }

  @Test func gradModeIsRestoredOnEveryExit() {
    struct Stop: Error {}
    let x = Tensor.ones(2).requireGrad()
    #expect(isGradEnabled)
    let inside = withNoGrad {
      #expect(!isGradEnabled)
      #expect(withGrad { (x * 2).requiresGrad }, "withGrad turns recording on again")
      #expect(!isGradEnabled)
      return x * 2
    }
    #expect(!inside.requiresGrad && isGradEnabled)
    #expect(throws: Stop.self) { try withNoGrad { throw Stop() } }
    #expect(isGradEnabled)
    withNoGrad {
      #expect(throws: Stop.self) { try withGrad { throw Stop() } }
      #expect(!isGradEnabled)
    }
    #expect(isGradEnabled)
  }

  @Test func detachedTensorsShareStorageOutsideTheGraph() {
    let x = Tensor([1, 2] as [Float]).requireGrad()
    let y = (x * 1).detached()
    #expect(!y.requiresGrad && y.isLeaf)
    #expect(x.detached().storageIdentifier == x.storageIdentifier)
    #expect(!x.requireGrad(false).requiresGrad)
  }

  @Test func autocastComputesInBfloat16AndEnds() {
    let layer = Linear(8, 8, generator: Generator(seed: 0))
    let x = Tensor.ones(2, 8)
    let cast = Torch.withAutocast(.bfloat16, on: .cpu) { layer(x) }
    #expect(cast.dtype == .bfloat16)
    #expect(layer(x).dtype == .float32)
    #expect(Torch.withAutocast(nil, on: .cpu) { layer(x) }.dtype == .float32)
    expectClose(cast.to(.float32), layer(x).detached(), absolute: 0.02)
  }
}

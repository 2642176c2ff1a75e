import SwiftTorch
import Testing

/// One entry of losses.json.
private struct LossCase: Decodable, Sendable, CustomTestStringConvertible {
  let name: String
  let function: String
  let options: [String: Option]

  var testDescription: String { name }

  static func load() throws -> [LossCase] {
    struct File: Decodable { let cases: [LossCase] }
    return try Fixtures.description("losses", as: File.self).cases
  }

  func apply(_ input: Tensor, _ target: Tensor) throws -> Tensor {
    let named = options.text("reduction")
    let reduction: Reduction = named == "none" ? .none : named == "mean" ? .mean : .sum
    switch function {
    case "cross_entropy":
      return input.crossEntropy(target, reduction: reduction, labelSmoothing: try options.double("label_smoothing", default: 0))
    case "nll_loss": return input.negativeLogLikelihood(target, reduction: reduction)
    case "mse_loss": return input.meanSquaredError(target, reduction: reduction)
    case "kl_div":
      let loss = input.klDivergence(from: target, reduction: reduction, logTarget: options.flag("log_target", default: false))
      return named == "batchmean" ? loss / input.size(0) : loss
    default: throw TorchError(.notImplemented, "losses.json has the function \(function), which this test does not know")
    }
  }
}

@Suite struct LossTests {
  @Test(arguments: try LossCase.load()) fileprivate func lossesAgreeWithPyTorch(_ expected: LossCase) throws {
    let golden = try Fixtures.tensors("losses")
    let name = expected.name
    let input = try golden["\(name)/input"].requireGrad()
    let loss = try expected.apply(input, try golden["\(name)/target"])
    expectClose(loss, try golden["\(name)/loss"])
    let gradient = Tensor.gradient(of: loss.sum(), withRespectTo: input)
    expectClose(gradient, try golden["\(name)/grad.input"], "gradient")
  }

  @Test func crossEntropyHasItsClosedForm() {
    // Logits log(p) of probabilities p: the loss is -log p of the label.
    let p = Tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]] as [[Double]])
    let labels = Tensor([0, 2])
    expectClose(p.log().crossEntropy(labels, reduction: .none), -Tensor([0.5, 0.8]).log())
    // Smoothing s mixes the label's loss with the mean over all classes.
    let mixed = -0.7 * Tensor([0.5, 0.8]).log() - 0.3 * p.log().mean(dim: 1)
    expectClose(p.log().crossEntropy(labels, reduction: .none, labelSmoothing: 0.3), mixed)
    expectClose(p.log().klDivergence(from: p), Tensor(0.0), absolute: 1e-12)
  }
}

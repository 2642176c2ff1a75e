public import SwiftTorch

extension LoadedModel {
  /// Returns the values of all parameters with a gradient.
  public func parameters() throws(TorchError) -> [Tensor] { try classifier.differentiableParameters() }
}

extension Classifier {
  /// Returns all parameters of a floating-point type, with `requiresGrad` set. A complex parameter is an error.
  func differentiableParameters() throws(TorchError) -> [Tensor] {
    switch self {
    case let network as NetworkClassifier: return network.module.parameters.map(\.value)
    case let script as ScriptClassifier:
      let parameters = try script.script.namedParameters()
      if let complex = parameters.first(where: \.tensor.dtype.isComplex) {
        throw TorchError(
          .type,
          "\(script.script.name) has the complex parameter \(complex.name), and derivatives in the weights need real ones; store "
            + "its real and imaginary parts, or make it a buffer")
      }
      return parameters.map(\.tensor).filter(\.dtype.isFloatingPoint).map { $0.requireGrad() }
    default: return []
    }
  }
}

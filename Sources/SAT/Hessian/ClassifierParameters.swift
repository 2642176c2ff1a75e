public import SwiftTorch

extension LoadedModel {
  /// Returns the values of all parameters with a gradient.
  public func parameters() throws(TorchError) -> [Tensor] { try classifier.differentiableParameters() }
}

extension Classifier {
  /// Returns all parameters of a floating-point type, with `requiresGrad` set.
  func differentiableParameters() throws(TorchError) -> [Tensor] {
    switch self {
    case let network as NetworkClassifier: return network.module.parameters.map(\.value)
    case let script as ScriptClassifier:
      return try script.script.namedParameters().map(\.tensor).filter(\.dtype.isFloatingPoint).map { $0.requireGrad() }
    default: return []
    }
  }
}

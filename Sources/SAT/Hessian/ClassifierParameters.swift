public import SwiftTorch

extension LoadedModel {
  /// The values of every parameter that can be differentiated with respect to.
  public func parameters() throws(TorchError) -> [Tensor] { try classifier.differentiableParameters() }
}

extension Classifier {
  /// Every parameter of a floating-point type, requiring a gradient.
  func differentiableParameters() throws(TorchError) -> [Tensor] {
    switch self {
    case let network as NetworkClassifier: return network.module.parameters.map(\.value)
    case let script as ScriptClassifier:
      return try script.script.namedParameters().map(\.tensor).filter(\.dtype.isFloatingPoint).map { $0.requireGrad() }
    default: return []
    }
  }
}

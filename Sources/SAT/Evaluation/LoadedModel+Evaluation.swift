public import SwiftTorch

extension LoadedModel {
  /// The warning about an archive that was saved with modules in training mode; nil if it was not.
  public var trainingModeWarning: Evaluation.Warning? {
    guard !trainingModules.isEmpty else { return nil }
    if trainingModules.contains("") {
      return .init(
        code: .trainingMode,
        message: "the TorchScript archive was saved in training mode; it was switched to evaluation mode, so call model.eval() "
          + "before saving it")
    }
    let some = trainingModules.prefix(3).joined(separator: ", ") + (trainingModules.count > 3 ? ", …" : "")
    return .init(
      code: .trainingMode,
      message: "the TorchScript archive was saved in evaluation mode, but with modules in training mode (\(some)); they were "
        + "switched to evaluation mode, so the measured model differs from the saved model: call eval() on all of it before "
        + "saving it")
  }

  /// Returns the number of the model's classes, from the logits of one image.
  ///
  /// - Throws: Any error of the model.
  public func classCount(of data: ImageDataset) throws(TorchError) -> Int {
    let image = try data.batch(0..<1).images.to(device)
    return try withNoGrad { () throws(TorchError) in try classifier.logits(image) }.size(1)
  }
}

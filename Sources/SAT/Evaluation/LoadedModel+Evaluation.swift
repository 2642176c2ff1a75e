public import SwiftTorch

extension LoadedModel {
  /// What to say of an archive that was saved with modules in training mode.
  public var trainingModeWarning: Evaluation.Warning? {
    guard !trainingModules.isEmpty else { return nil }
    if trainingModules.contains("") {
      return .init(
        code: .trainingMode,
        message: "the TorchScript archive was saved in training mode; it was switched to evaluation mode, call model.eval() before saving it")
    }
    let some = trainingModules.prefix(3).joined(separator: ", ") + (trainingModules.count > 3 ? ", …" : "")
    return .init(
      code: .trainingMode,
      message: "the TorchScript archive was saved with modules in training mode (\(some)), though it is in evaluation mode as a whole; they were "
        + "switched to evaluation mode, so what is measured is not the model as saved: call eval() on all of it before saving it")
  }

  /// How many classes the model tells apart, by asking it about one image.
  ///
  /// - Throws: what the model throws.
  public func classCount(of data: ImageDataset) throws(TorchError) -> Int {
    let image = try data.batch(0..<1).images.to(device)
    return try withNoGrad { () throws(TorchError) in try classifier.logits(image) }.size(1)
  }
}

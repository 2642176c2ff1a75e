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

  /// Tells models apart by their weights, their network and their normalisation.
  public func fingerprint() throws -> String {
    let tensors: [Tensor]
    var text: String
    let normalization: Normalization?
    if let network = classifier as? NetworkClassifier {
      tensors = network.module.stateDict.map(\.tensor)
      text = network.architecture.name + network.architecture.options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined()
      normalization = network.normalization
    } else if let script = classifier as? ScriptClassifier {
      tensors = try (script.script.namedParameters() + script.script.namedBuffers()).map(\.tensor)
      text = script.script.source
      normalization = script.normalization
    } else {
      throw SATError("\(path) cannot be told from other models, so no state can be kept of its evaluation")
    }
    text += normalization?.description ?? ""
    let bytes = Array(text.utf8)
    let all = tensors + [Tensor(bytes: bytes[...], shape: [bytes.count], dtype: .uint8)]
    return String(all.reduce(0) { ($0 << 7 | $0 >> 57) ^ $1.fingerprint }, radix: 16)
  }

  /// How many classes the model tells apart, by asking it about one image.
  ///
  /// - Throws: what the model throws.
  public func classCount(of data: ImageDataset, device: Device) throws(TorchError) -> Int {
    let image = try data.batch(0..<1).images.to(device)
    return try withNoGrad { () throws(TorchError) in try classifier.logits(image) }.size(1)
  }
}

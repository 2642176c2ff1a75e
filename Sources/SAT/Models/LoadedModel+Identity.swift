internal import SwiftTorch

extension LoadedModel {
  /// Returns a hash of the weights, the network and the normalisation.
  public func fingerprint() throws -> String {
    let tensors: [Tensor]
    let text: String
    let normalization: Normalization?
    if let network = classifier as? NetworkClassifier {
      tensors = network.module.stateDict.map(\.tensor)
      text =
        network.architecture.name + network.architecture.options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined()
      normalization = network.normalization
    } else if let script = classifier as? ScriptClassifier {
      tensors = try (script.script.namedParameters() + script.script.namedBuffers()).map(\.tensor)
      text = script.script.source
      normalization = script.normalization
    } else {
      throw SATError("\(path) cannot be told from other models, so no state can be kept of work on it")
    }
    let fingerprints = tensors.map(\.fingerprint) + [Fingerprint.of(text + (normalization?.description ?? ""))]
    return String(fingerprints.reduce(0) { ($0 << 7 | $0 >> 57) ^ $1 }, radix: 16)
  }
}

extension StateIdentity {
  /// The aspects that every measurement of a model on images depends on; each kind of work adds its own.
  ///
  /// - Throws: `SATError` for a model without a fingerprint, `TorchError` when an image cannot be read.
  public init(model: LoadedModel, data: ImageDataset, seed: UInt64) throws {
    let execution = model.classifier.execution
    let (precision, attacks) = (execution.precision.rawValue, execution.attackPrecision.rawValue)
    self = [
      "model": try model.fingerprint(),
      "data":
        "\(data.name) \(data.split), \(data.count) images, "
        + "\(String(try data.images.fingerprint ^ data.labels.fingerprint, radix: 16))",
      "seed": "\(seed)", "precision": attacks == precision ? precision : "\(precision), attacks \(attacks)",
      "device": model.device.isCUDA ? "cuda" : "cpu", "libtorch": Torch.version,
    ]
  }
}

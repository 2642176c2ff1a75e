internal import SwiftTorch

/// Weights to go on from instead of fresh ones (`from` in a configuration).
enum StartingWeights {
  /// Puts a model's weights into a network.
  ///
  /// - Parameter path: of a run, a model file or a PyTorch state_dict.
  /// - Throws: a sentence when it is not there, holds another architecture, normalises otherwise, or is a TorchScript archive.
  static func load(from path: String, into network: NetworkClassifier) throws {
    // Only what the file says itself tells whether it is another network, so no architecture is imposed at first.
    let loaded: LoadedModel
    do {
      loaded = try ModelFile.load(path: path, checkpoint: "best", architecture: nil, normalization: nil, device: .cpu)
    } catch is SATError {
      loaded = try ModelFile.load(
        path: path, checkpoint: "best", architecture: network.architecture, normalization: network.normalization, device: .cpu)
    }
    guard let model = loaded.classifier as? NetworkClassifier else {
      throw SATError("\(path) is a TorchScript archive, which cannot be trained further; expected weights of \(network.architecture.name)")
    }
    guard model.architecture.name == network.architecture.name,
      try model.architecture.resolvedOptions() == network.architecture.resolvedOptions()
    else {
      throw SATError(
        "\(path) holds \(describe(model.architecture)), but the run trains \(describe(network.architecture)); choose a model that fits, or "
          + "set --model and --model-option to what it holds")
    }
    guard model.normalization == network.normalization else {
      func name(_ normalization: Normalization?) -> String { normalization?.description ?? "none" }
      throw SATError(
        "\(path) normalises its images by \(name(model.normalization)), but the run by \(name(network.normalization)); "
          + "set normalization (--normalize) to the model's")
    }
    try network.module.loadStateDict(model.module.stateDict, source: path)
  }

  private static func describe(_ architecture: Architecture) -> String {
    ([architecture.name] + architecture.options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
  }
}

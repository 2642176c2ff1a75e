internal import SwiftTorch

/// The weights that a training starts from instead of fresh ones (`from` in a configuration).
enum StartingWeights {
  /// Puts the weights of a run, a model file or a PyTorch state_dict into a network.
  ///
  /// - Throws: `SATError` when the file is missing, has another architecture or normalisation, or is a TorchScript archive.
  static func load(from path: String, into network: NetworkClassifier) throws {
    // The first attempt gives no architecture, so that a file with another network is recognised.
    func load(_ architecture: Architecture?, _ normalization: Normalization?) throws -> LoadedModel {
      try ModelFile.load(
        path: path, architecture: architecture, normalization: normalization,
        execution: Execution(device: "cpu", memoryFormat: .contiguous))
    }
    let loaded: LoadedModel
    do { loaded = try load(nil, nil) } catch is SATError { loaded = try load(network.architecture, network.normalization) }
    guard let model = loaded.classifier as? NetworkClassifier else {
      throw SATError(
        "\(path) is a TorchScript archive, which cannot be trained further; expected weights of \(network.architecture.name)")
    }
    guard model.architecture.name == network.architecture.name,
      try model.architecture.resolvedOptions() == network.architecture.resolvedOptions()
    else {
      throw SATError(
        "\(path) holds \(describe(model.architecture)), but the run trains \(describe(network.architecture)); choose a model that "
          + "fits, or set --model and --model-option to that network")
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

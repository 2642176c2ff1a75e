internal import Foundation
public import SwiftTorch

/// A model as a command line names it, ready to be asked.
public struct LoadedModel {
  public let path: String
  public let classifier: any Classifier
  /// Nil for TorchScript, which does not say.
  public let inputShape: [Int]?
  /// The modules of a TorchScript archive that were saved in training mode, "" for the whole of it; all are in evaluation mode now.
  public var trainingModules: [String] = []
  /// What was taken from the file or left out of it without being asked for, a sentence each, for the user to see.
  public var notes: [String] = []

  /// Tries the model on one image, a script on two as well, so that what does not fit is said before anything runs.
  ///
  /// - Throws: `SATError` when the images have another size, the output is not [N, classes] of floats, or there are labels beyond it.
  public func check(_ data: ImageDataset, device: Device) throws(SATError) {
    if let inputShape, inputShape != data.imageShape {
      throw SATError("\(path) takes images of shape \(inputShape), but those of \(data.name) are \(data.imageShape); use data of that size")
    }
    // A network of the catalogue has had this checked against its own channels; a script takes what comes, broadcast or not.
    if let normalization = (classifier as? ScriptClassifier)?.normalization, normalization.mean.count != data.imageShape[0] {
      throw SATError(
        "the normalisation has \(normalization.mean.count) channels, but the images of \(data.name) have \(data.imageShape[0]); "
          + "give --normalize one mean and one deviation a channel")
    }
    let image: Tensor
    do { image = try data.batch(0..<1).images.to(device) } catch { throw SATError(error.message) }
    func ask(_ images: Tensor) -> Result<Tensor, TorchError> {
      Result { () throws(TorchError) in try withNoGrad { () throws(TorchError) in try classifier.logits(images) } }
    }
    // An archive that was traced may know one batch size only.
    let alone = ask(image)
    let pair = classifier is ScriptClassifier ? ask(Tensor.concatenated([image, image])) : alone
    let logits: Tensor
    switch (alone, pair) {
    case (.success(let found), .success): logits = found
    case (.failure(let error), .failure):
      throw SATError("\(path) does not take the images of \(data.name), which are \(data.imageShape): \(error.message)")
    case (.success, .failure(let error)), (.failure(let error), .success):
      throw SATError(
        "\(path) takes batches of one size only, and attacks ask about any number of images; script the network, or trace it without fixing "
          + "the batch size: \(error.message)")
    }
    guard data.classCount <= logits.size(1) else {
      throw SATError(
        "\(path) knows \(logits.size(1)) classes, but the labels of \(data.name) go up to \(data.classCount - 1); use data or a model that fit")
    }
  }
}

/// Finds out what a MODEL argument is by reading it, and loads it.
public enum ModelFile {
  /// The weights in a checkpoint folder.
  public static let weightsName = "weights.safetensors"

  /// Keys of our files' metadata.
  private enum Key {
    static let architecture = "sat.architecture"
    static let options = "sat.options"
    static let normalization = "sat.normalization"
  }

  /// - Parameters:
  ///   - path: a run folder, a checkpoint folder, a safetensors file, a TorchScript archive or a PyTorch state_dict.
  ///   - checkpoint: "best" or "last", of a run folder.
  ///   - architecture: what a file without our metadata holds.
  ///   - normalization: put in front; nil takes the file's own, if it says.
  /// - Throws: a sentence naming the file and what is wrong.
  public static func load(
    path: String, checkpoint: String, architecture: Architecture?, normalization: Normalization?, device: Device
  ) throws -> LoadedModel {
    let file = try find(path, checkpoint: checkpoint)
    let contents = try FileContents.read(file, expecting: "a model")
    switch contents.kind {
    case .safetensors:
      return try native(SafeTensors.decode(contents), file, architecture, normalization, device)
    case .torchScript:
      guard architecture == nil else {
        throw SATError("\(file) is a TorchScript archive, which carries its own network; leave out --model")
      }
      let script = try ScriptModule(contents, device: device)
      try script.setTraining(false)
      return LoadedModel(
        path: path, classifier: ScriptClassifier(script, normalization: normalization), inputShape: nil,
        trainingModules: script.trainingModules)
    case .pytorchZip, .pytorchLegacy:
      let state = try PyTorchCheckpoint.decode(contents).stateDict()
      return try foreign(state.tensors(), file, architecture, normalization, device)
    case let kind:
      throw SATError(
        "\(file) is \(kind), not a model; expected a run folder, a .safetensors file of sat, a TorchScript archive or a PyTorch state_dict")
    }
  }

  /// The file that a MODEL argument stands for.
  ///
  /// - Throws: `SATError` when nothing is there, or a folder without a checkpoint.
  public static func find(_ path: String, checkpoint: String) throws(SATError) -> String {
    guard FileManager.default.fileExists(atPath: path) else {
      throw SATError("\(path) does not exist; expected a run folder or a model file")
    }
    guard FileManager.default.isFolder(path) else { return path }
    let candidates = ["\(path)/\(weightsName)", "\(path)/\(checkpoint)/\(weightsName)"]
    guard let found = candidates.first(where: FileManager.default.fileExists(atPath:)) else {
      let other = RunFolder.Checkpoint.allCases.map(\.rawValue).first { FileManager.default.fileExists(atPath: "\(path)/\($0)/\(weightsName)") }
      let hint = other.map { "add --checkpoint \($0), which is there" } ?? "expected the folder of a run that has finished an epoch"
      throw SATError("\(path) is a folder without \(checkpoint)/\(weightsName); \(hint)")
    }
    return found
  }

  /// A file of ours says what it holds; another safetensors file is taken like a state_dict.
  private static func native(
    _ contents: SafeTensors, _ file: String, _ architecture: Architecture?, _ normalization: Normalization?, _ device: Device
  ) throws -> LoadedModel {
    guard let name = contents.metadata[Key.architecture] else {
      return try foreign(contents.tensors, file, architecture, normalization, device)
    }
    let text = contents.metadata[Key.options] ?? "{}"
    guard let options = try? JSONDecoder().decode([String: String].self, from: Data(text.utf8)) else {
      throw SATError("\(file): its metadata '\(Key.options)' is not a JSON object of strings; save the model again")
    }
    let own = Architecture(name: name, options: options)
    let (held, saved): ([String: Int], Normalization?)
    do {
      held = try own.resolvedOptions()
      saved = try contents.metadata[Key.normalization].map { (text) throws(SATError) in try Normalization(text) }
    } catch {
      throw SATError("\(file): its metadata is not of this version of sat: \(error.message)")
    }
    if let architecture { try check(architecture, against: own, held, file) }
    return try named(contents.tensors, file, own, normalization ?? saved, device)
  }

  /// What was typed may repeat what the file says, not contradict it.
  private static func check(
    _ given: Architecture, against own: Architecture, _ held: [String: Int], _ file: String
  ) throws(SATError) {
    guard given.name == own.name else {
      throw SATError("\(file) holds \(own.name), but --model says \(given.name); leave out --model and --model-option")
    }
    let values = try given.resolvedOptions()
    for key in given.options.keys.sorted() where values[key] != held[key] {
      throw SATError(
        "\(file) holds \(own.name) with \(key)=\(held[key]!), but --model-option says \(key)=\(values[key]!); leave it out")
    }
  }

  /// Weights somebody else saved, under a name that was given.
  private static func foreign(
    _ tensors: NamedTensors, _ file: String, _ architecture: Architecture?, _ normalization: Normalization?,
    _ device: Device
  ) throws -> LoadedModel {
    var state: ForeignState
    do {
      state = try ForeignState(tensors)
    } catch {
      throw SATError("\(file): \(error.message)")
    }
    guard let architecture else {
      throw SATError(
        "\(file) holds weights but does not say of which network; "
          + (hint(for: state) ?? "name it with --model (`sat models` lists the known ones), or export the model to TorchScript"))
    }
    state.drop(try NetworkCatalog.entry(named: architecture.name).unusedKeys)
    var model = try named(state.tensors, file, architecture, normalization ?? state.normalization, device)
    model.notes = state.notes
    if let own = state.normalization {
      model.notes.append(
        normalization == nil
          ? "the file's own normalisation, \(own), stands in front of the network"
          : "the file's own normalisation, \(own), gives way to the one that was given")
    }
    return model
  }

  /// What to type for weights whose keys are known.
  private static func hint(for state: ForeignState) -> String? {
    let matches = NetworkCatalog.matching(state.tensors.map { ($0.name, $0.tensor.shape) })
    guard let first = matches.first else { return nil }
    func options(_ match: Architecture) -> String {
      match.options.sorted { $0.key < $1.key }.map { " --model-option \($0.key)=\($0.value)" }.joined()
    }
    let others = matches.dropFirst().map { "'--model \($0.name)\(options($0))'" }
    let doubt = others.isEmpty ? "" : "; " + others.joined(separator: " and ") + " would fit too, so check which it was trained as"
    return "its keys match \(first.name): add --model \(first.name)\(options(first))\(doubt)"
  }

  private static func named(
    _ state: NamedTensors, _ file: String, _ architecture: Architecture, _ normalization: Normalization?,
    _ device: Device
  ) throws -> LoadedModel {
    let inputShape = try architecture.inputShape()
    try normalization?.check(architecture)
    let module = try Initialization.skipping { () throws(SATError) in try architecture.make(generator: Generator(seed: 0)) }
    let network = NetworkClassifier(module, architecture: architecture, normalization: normalization)
    try network.module.loadStateDict(state, source: file)
    network.module.setTraining(false)
    network.move(to: device)
    return LoadedModel(path: file, classifier: network, inputShape: inputShape)
  }

  /// Writes a network with what is needed to load it again.
  ///
  /// - Throws: `TorchError` when the file cannot be written; an older one is intact then.
  public static func save(_ network: NetworkClassifier, to path: String) throws(TorchError) {
    let options = network.architecture.options.sorted { $0.key < $1.key }
    // Keys and values are words and numbers, so the object needs no escapes.
    let json = "{" + options.map { "\"\($0.key)\": \"\($0.value)\"" }.joined(separator: ", ") + "}"
    var metadata = [Key.architecture: network.architecture.name, Key.options: json]
    if let normalization = network.normalization { metadata[Key.normalization] = normalization.description }
    try SafeTensors(tensors: network.module.stateDict, metadata: metadata).write(to: path)
  }

  /// Puts the weights of a file of ours into a network of the same architecture.
  public static func loadWeights(into network: NetworkClassifier, from path: String) throws(TorchError) {
    try network.module.loadStateDict(SafeTensors.read(path).tensors, source: path)
  }
}

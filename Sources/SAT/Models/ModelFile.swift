internal import Foundation
public import SwiftTorch

/// A model that a command line names, loaded and ready for images.
public struct LoadedModel {
  /// The path that was asked for: a run folder, or the file itself.
  public internal(set) var name: String
  /// The file that holds the weights.
  public let path: String
  public let classifier: any Classifier
  /// The shape [C, H, W] of the input; nil for TorchScript, which does not state it.
  public let inputShape: [Int]?
  /// The device that holds the weights.
  public let device: Device
  /// The modules that a TorchScript archive saved in training mode, "" for the whole archive; all are in evaluation mode now.
  public var trainingModules: [String] = []
  /// Sentences for the user about parts of the file that sat used or left out on its own.
  public var notes: [String] = []

  init(path: String, classifier: any Classifier, inputShape: [Int]?, device: Device, trainingModules: [String] = []) {
    name = path
    self.path = path
    self.classifier = classifier
    self.inputShape = inputShape
    self.device = device
    self.trainingModules = trainingModules
  }

  /// Tries the model on one image, and a script also on two, so that a mismatch shows before the work starts.
  ///
  /// - Throws: `SATError` when the images have another size, the output is not [N, classes] of floats, or a label has no logit.
  public func check(_ data: ImageDataset) throws(SATError) {
    if let inputShape, inputShape != data.imageShape {
      throw SATError(
        "\(path) takes images of shape \(inputShape), but the images of \(data.name) are \(data.imageShape); use data of that size")
    }
    // `named` has checked networks of the catalogue; a script would silently broadcast a wrong number of channels.
    if let normalization = (classifier as? ScriptClassifier)?.normalization, normalization.mean.count != data.imageShape[0] {
      throw SATError(
        "the normalisation has \(normalization.mean.count) channels, but the images of \(data.name) have \(data.imageShape[0]); "
          + "give --normalize one mean and one deviation per channel")
    }
    let image: Tensor
    do { image = try data.batch(0..<1).images.to(device) } catch { throw SATError(error.message) }
    func ask(_ images: Tensor) -> Result<Tensor, TorchError> {
      Result { () throws(TorchError) in try withNoGrad { () throws(TorchError) in try classifier.logits(images) } }
    }
    // A traced archive may work with only one batch size.
    let alone = ask(image)
    let pair = classifier is ScriptClassifier ? ask(Tensor.concatenated([image, image])) : alone
    let logits: Tensor
    switch (alone, pair) {
    case (.success(let found), .success): logits = found
    case (.failure(let error), .failure):
      throw SATError("\(path) does not take the images of \(data.name), which are \(data.imageShape): \(error.message)")
    case (.success, .failure(let error)), (.failure(let error), .success):
      throw SATError(
        "\(path) takes batches of one size only, but attacks need any batch size; script the network, or trace it without a fixed "
          + "batch size: \(error.message)")
    }
    guard data.classCount <= logits.size(1) else {
      throw SATError(
        "\(path) has \(logits.size(1)) classes, but the labels of \(data.name) go up to \(data.classCount - 1); use a model and "
          + "data that fit"
      )
    }
  }
}

/// The loader of MODEL arguments; it recognises each kind of file by its contents.
public enum ModelFile {
  /// The name of the weights file in a checkpoint folder.
  public static let weightsName = "weights.safetensors"

  /// The keys in the metadata of sat's own files.
  private enum Key {
    static let architecture = "sat.architecture"
    static let options = "sat.options"
    static let normalization = "sat.normalization"
  }

  /// Loads a run folder, a checkpoint folder, a safetensors file, a TorchScript archive or a PyTorch state_dict.
  ///
  /// A run folder gives its `checkpoint`, "best" or "last". `architecture` is the network of a file without sat's metadata. Without
  /// `normalization`, the network uses the file's own, if there is one.
  /// - Throws: `SATError` or `TorchError` that names the file and the problem.
  public static func load(
    path: String, checkpoint: String, architecture: Architecture?, normalization: Normalization?, device: Device
  ) throws -> LoadedModel {
    let file = try find(path, checkpoint: checkpoint)
    var model = try load(file, architecture, normalization, device)
    model.name = path
    return model
  }

  private static func load(
    _ file: String, _ architecture: Architecture?, _ normalization: Normalization?, _ device: Device
  ) throws -> LoadedModel {
    let contents = try FileContents.read(file, expecting: "a model")
    switch contents.kind {
    case .safetensors: return try native(SafeTensors.decode(contents), file, architecture, normalization, device)
    case .torchScript:
      guard architecture == nil else {
        throw SATError("\(file) is a TorchScript archive, which carries its own network; leave out --model")
      }
      let script = try ScriptModule(contents, device: device)
      try script.setTraining(false)
      return LoadedModel(
        path: file, classifier: ScriptClassifier(script, normalization: normalization), inputShape: nil, device: device,
        trainingModules: script.trainingModules)
    case .pytorchZip, .pytorchLegacy:
      let state = try PyTorchCheckpoint.decode(contents).stateDict()
      return try foreign(state.tensors(), file, architecture, normalization, device)
    case let kind:
      throw SATError(
        "\(file) is \(kind), not a model; expected a run folder, a .safetensors file of sat, a TorchScript archive or a PyTorch "
          + "state_dict"
      )
    }
  }

  /// Loads a model, as the function above does, and sets how it computes: device, threads, precision and layout.
  ///
  /// - Throws: `TorchError` also when the device is missing.
  public static func load(
    path: String, checkpoint: RunFolder.Checkpoint = .best, architecture: Architecture? = nil, normalization: Normalization? = nil,
    execution: Execution
  ) throws -> LoadedModel {
    let model = try load(
      path: path, checkpoint: checkpoint.rawValue, architecture: architecture, normalization: normalization,
      device: execution.prepare())
    model.classifier.execution = execution
    return model
  }

  /// Returns the file behind a MODEL argument.
  ///
  /// - Throws: `SATError` when the path does not exist or is a folder without the checkpoint.
  public static func find(_ path: String, checkpoint: String) throws(SATError) -> String {
    guard FileManager.default.fileExists(atPath: path) else {
      throw SATError("\(path) does not exist; expected a run folder or a model file")
    }
    guard FileManager.default.isFolder(path) else { return path }
    let candidates = ["\(path)/\(weightsName)", "\(path)/\(checkpoint)/\(weightsName)"]
    guard let found = candidates.first(where: FileManager.default.fileExists(atPath:)) else {
      let other = RunFolder.Checkpoint.allCases.map(\.rawValue).first {
        FileManager.default.fileExists(atPath: "\(path)/\($0)/\(weightsName)")
      }
      let hint = other.map { "add --checkpoint \($0), which is there" } ?? "expected the folder of a run that has finished an epoch"
      throw SATError("\(path) is a folder without \(checkpoint)/\(weightsName); \(hint)")
    }
    return found
  }

  /// Loads a safetensors file; a file without sat's metadata loads like a state_dict.
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
    } catch { throw SATError("\(file): its metadata does not fit this version of sat: \(error.message)") }
    if let architecture { try check(architecture, against: own, held, file) }
    return try named(contents.tensors, file, own, normalization ?? saved, device)
  }

  /// Checks that --model and --model-option agree with the file's metadata.
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

  /// Loads weights from another program into the network that the user names.
  private static func foreign(
    _ tensors: NamedTensors, _ file: String, _ architecture: Architecture?, _ normalization: Normalization?, _ device: Device
  ) throws -> LoadedModel {
    var state: ForeignState
    do { state = try ForeignState(tensors) } catch { throw SATError("\(file): \(error.message)") }
    guard let architecture else {
      throw SATError(
        "\(file) holds weights but does not say which network they belong to; "
          + (hint(for: state) ?? "name it with --model (`sat models` lists the known ones), or export the model to TorchScript"))
    }
    state.drop(try NetworkCatalog.entry(named: architecture.name).unusedKeys)
    var model = try named(state.tensors, file, architecture, normalization ?? state.normalization, device)
    model.notes = state.notes
    if let own = state.normalization {
      model.notes.append(
        normalization == nil
          ? "the network uses the file's own normalisation, \(own)"
          : "the normalisation that was given replaces the file's own, \(own)")
    }
    return model
  }

  /// Returns the options to type when the keys of the weights match known networks; nil without a match.
  private static func hint(for state: ForeignState) -> String? {
    let matches = NetworkCatalog.matching(state.tensors.map { ($0.name, $0.tensor.shape) })
    guard let first = matches.first else { return nil }
    func options(_ match: Architecture) -> String {
      match.options.sorted { $0.key < $1.key }.map { " --model-option \($0.key)=\($0.value)" }.joined()
    }
    let others = matches.dropFirst().map { "'--model \($0.name)\(options($0))'" }
    let doubt = others.isEmpty ? "" : "; " + others.joined(separator: " and ") + " would fit too, so check how it was trained"
    return "its keys match \(first.name): add --model \(first.name)\(options(first))\(doubt)"
  }

  private static func named(
    _ state: NamedTensors, _ file: String, _ architecture: Architecture, _ normalization: Normalization?, _ device: Device
  ) throws -> LoadedModel {
    let inputShape = try architecture.inputShape()
    try normalization?.check(architecture)
    let module = try Initialization.skipping { () throws(SATError) in try architecture.make(generator: Generator(seed: 0)) }
    let network = NetworkClassifier(module, architecture: architecture, normalization: normalization)
    try network.module.loadStateDict(state, source: file)
    network.module.setTraining(false)
    network.move(to: device)
    return LoadedModel(path: file, classifier: network, inputShape: inputShape, device: device)
  }

  /// Writes a network with the metadata that `load` needs.
  ///
  /// - Throws: `TorchError` when the file cannot be written; an older file stays intact.
  public static func save(_ network: NetworkClassifier, to path: String) throws(TorchError) {
    let options = network.architecture.options.sorted { $0.key < $1.key }
    // Keys and values are words and numbers, so the JSON needs no escapes.
    let json = "{" + options.map { "\"\($0.key)\": \"\($0.value)\"" }.joined(separator: ", ") + "}"
    var metadata = [Key.architecture: network.architecture.name, Key.options: json]
    if let normalization = network.normalization { metadata[Key.normalization] = normalization.description }
    try SafeTensors(tensors: network.module.stateDict, metadata: metadata).write(to: path)
  }

  /// Loads the weights of one of sat's own files into a network of the same architecture.
  public static func loadWeights(into network: NetworkClassifier, from path: String) throws(TorchError) {
    try network.module.loadStateDict(SafeTensors.read(path).tensors, source: path)
  }
}

internal import Foundation
public import SwiftTorch

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
  /// A run folder gives its `checkpoint`, "best" or "last". `architecture` is the network of a file without sat's metadata.
  /// `weights` is the place of the weights in a file with several sets, such as "ema"; nil means the usual place. Without
  /// `normalization`, the network uses the file's own, if there is one. `trustsArchive` also runs a TorchScript archive whose code
  /// could reach files, processes or the network. `execution` sets how the model computes: device, threads, precision and layout.
  /// - Throws: `SATError` or `TorchError` that names the file and the problem, `TorchError` also when the device is missing.
  public static func load(
    path: String, checkpoint: RunFolder.Checkpoint = .best, architecture: Architecture? = nil, weights: String? = nil,
    normalization: Normalization? = nil, trustsArchive: Bool = false, execution: Execution
  ) throws -> LoadedModel {
    let device = try execution.prepare()
    let file = try find(path, checkpoint: checkpoint)
    let wanted = Wanted(
      architecture: architecture, weights: weights, normalization: normalization, device: device, trustsArchive: trustsArchive)
    var model = try load(file, wanted)
    model.name = path
    model.classifier.execution = execution
    return model
  }

  /// The settings of a load.
  private struct Wanted {
    var architecture: Architecture?
    var weights: String?
    var normalization: Normalization?
    var device: Device
    var trustsArchive: Bool
  }

  private static func load(_ file: String, _ wanted: Wanted) throws -> LoadedModel {
    let contents = try FileContents.read(file, expecting: "a model")
    switch contents.kind {
    case .safetensors: return try native(contents, wanted)
    case .torchScript:
      guard wanted.architecture == nil, wanted.weights == nil else {
        throw SATError("\(file) is a TorchScript archive, which carries its own network; leave out --model and --weights")
      }
      let (normalization, device) = (wanted.normalization, wanted.device)
      let script = try ScriptModule(contents, device: device, trusted: wanted.trustsArchive)
      try script.setTraining(false)
      return LoadedModel(
        path: file, classifier: ScriptClassifier(script, normalization: normalization), inputShape: nil, device: device,
        trainingModules: script.trainingModules)
    case .pytorchZip, .pytorchLegacy:
      let checkpoint = try PyTorchCheckpoint.decode(contents)
      let states = checkpoint.stateDicts()
      // This call throws an error that names the content of the file.
      if states.isEmpty { _ = try checkpoint.stateDict() }
      return try foreign(
        states.map { try ForeignState($0.entries, location: $0.location, others: $0.others, file: file) }, file, wanted)
    case let kind:
      throw SATError(
        "\(file) is \(kind), not a model; expected a run folder, a .safetensors file of sat, a TorchScript archive or a PyTorch "
          + "state_dict"
      )
    }
  }

  /// Returns the file behind a MODEL argument.
  ///
  /// - Throws: `SATError` when the path does not exist or is a folder without the checkpoint.
  public static func find(_ path: String, checkpoint: RunFolder.Checkpoint) throws(SATError) -> String {
    guard FileManager.default.fileExists(atPath: path) else {
      throw SATError("\(path) does not exist; expected a run folder or a model file")
    }
    guard FileManager.default.isFolder(path) else { return path }
    let candidates = ["\(path)/\(weightsName)", "\(path)/\(checkpoint.rawValue)/\(weightsName)"]
    guard let found = candidates.first(where: FileManager.default.fileExists(atPath:)) else {
      let other = RunFolder.Checkpoint.allCases.map(\.rawValue).first {
        FileManager.default.fileExists(atPath: "\(path)/\($0)/\(weightsName)")
      }
      let hint = other.map { "add --checkpoint \($0), which is there" } ?? "expected the folder of a run that has finished an epoch"
      throw SATError("\(path) is a folder without \(checkpoint.rawValue)/\(weightsName); \(hint)")
    }
    return found
  }

  /// Loads a safetensors file; a file without sat's metadata loads like a state_dict.
  private static func native(_ contents: FileContents, _ wanted: Wanted) throws -> LoadedModel {
    let file = contents.name
    var (tensors, metadata) = try SafeTensors.stored(in: contents)
    guard let name = metadata[Key.architecture] else {
      // `safetensors.torch.save_model` keeps one name of a tensor that has several, and lists the others in the metadata.
      let names = Dictionary(tensors.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
      for (other, kept) in metadata.sorted(by: { $0.key < $1.key }) where names[other] == nil {
        if let tensor = names[kept] { tensors.append((other, tensor)) }
      }
      return try foreign([ForeignState(tensors, file: file)], file, wanted)
    }
    guard wanted.weights == nil else { throw SATError("\(file) holds one set of weights; leave out --weights") }
    let text = metadata[Key.options] ?? "{}"
    guard let options = try? JSONDecoder().decode([String: String].self, from: Data(text.utf8)) else {
      throw SATError("\(file): its metadata '\(Key.options)' is not a JSON object of strings; save the model again")
    }
    let own = Architecture(name: name, options: options)
    let (held, saved): ([String: Int], Normalization?)
    do {
      held = try own.resolvedOptions()
      saved = try metadata[Key.normalization].map { (text) throws(SATError) in try Normalization(text) }
    } catch { throw SATError("\(file): its metadata does not fit this version of sat: \(error.message)") }
    if let architecture = wanted.architecture { try check(architecture, against: own, held, file) }
    let module = try module(own, wanted.normalization ?? saved)
    let fit = StateFit(try ForeignState(tensors, file: file), prefix: "", needed: needed(by: module))
    guard fit.isComplete, fit.unused.isEmpty else { throw misfit(fit, module, file) }
    return try loaded(module, own, wanted.normalization ?? saved, from: fit, file, wanted)
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
  private static func foreign(_ states: [ForeignState], _ file: String, _ wanted: Wanted) throws -> LoadedModel {
    guard let architecture = wanted.architecture else {
      throw SATError(
        "\(file) holds weights but does not say which network they belong to; "
          + (hint(for: states) ?? "name it with --model (`sat models` lists the known ones), or export the model to TorchScript"))
    }
    let module = try module(architecture, wanted.normalization)
    var notes: [String] = []
    let fit = try chosen(StateFit.all(states, needed: needed(by: module)), wanted.weights, file, &notes)
    guard fit.isComplete else { throw misfit(fit, module, file) }
    if let note = fit.note {
      let better = matches(of: fit.state)
      if let first = better.architectures.first, better.unused < fit.unusedCount {
        throw SATError(
          "\(file) holds \(fit.unused.count) tensors that \(architecture.name) has no use for as its options stand; its keys match "
            + "\(first.name): give --model \(first.name)\(typed(first))")
      }
      notes.append(note)
    }
    if let own = fit.state.normalization {
      notes.append(
        wanted.normalization == nil
          ? "the network uses the file's own normalisation, \(own)"
          : "the normalisation that was given replaces the file's own, \(own)")
    }
    let normalization = wanted.normalization ?? fit.state.normalization
    try normalization?.check(architecture)
    var model = try loaded(module, architecture, normalization, from: fit, file, wanted)
    model.notes = notes
    return model
  }

  /// Returns the set of weights to use, and adds a note if the file holds others that fit too.
  private static func chosen(
    _ fits: [StateFit], _ weights: String?, _ file: String, _ notes: inout [String]
  ) throws(SATError) -> StateFit {
    func name(_ fit: StateFit) -> String { fit.key.isEmpty ? "the top of the file" : "'\(fit.key)'" }
    if let weights {
      let places = fits.filter { $0.key == weights || $0.state.location == weights || $0.key.hasSuffix(".\(weights)") }
      guard let place = places.first else {
        throw SATError(
          "\(file) has no weights at '\(weights)' that fit the network; give --weights one of "
            + fits.map(name).joined(separator: ", "))
      }
      return place
    }
    guard fits.count > 1, fits[0].isComplete else { return fits[0] }
    let list = fits.map(name).joined(separator: ", ")
    guard let plain = fits.first(where: \.isPlain) else {
      throw SATError("\(file) holds several sets of weights: \(list); choose one with --weights")
    }
    notes.append("the file holds several sets of weights (\(list)), and sat uses \(name(plain)); --weights chooses another")
    return plain
  }

  /// Returns the known networks that a set of weights fits, under any beginning of the names.
  private static func matches(of state: ForeignState) -> (architectures: [Architecture], unused: Int) {
    state.sharedPrefixes.map { prefix in
      let shapes = state.shapes(under: prefix)
      let found = NetworkCatalog.matching(shapes)
      return found.architectures.isEmpty ? found : (found.architectures, found.unused + state.weights.count - shapes.count)
    }.min { $0.unused < $1.unused }!
  }

  /// Returns the options to type when the keys of the weights match known networks; nil without a match.
  private static func hint(for states: [ForeignState]) -> String? {
    let matches = states.prefix(4).map { Self.matches(of: $0).architectures }.first { !$0.isEmpty } ?? []
    guard let first = matches.first else { return nil }
    let others = matches.dropFirst().map { "'--model \($0.name)\(typed($0))'" }
    let doubt = others.isEmpty ? "" : "; " + others.joined(separator: " and ") + " would fit too, so check how it was trained"
    return "its keys match \(first.name): add --model \(first.name)\(typed(first))\(doubt)"
  }

  /// Returns the options of an architecture as the user types them.
  private static func typed(_ architecture: Architecture) -> String {
    architecture.options.sorted { $0.key < $1.key }.map { " --model-option \($0.key)=\($0.value)" }.joined()
  }

  /// Builds a network without weights, after a check of the normalisation in front of it.
  private static func module(_ architecture: Architecture, _ normalization: Normalization?) throws(SATError) -> any Layer {
    try normalization?.check(architecture)
    return try Initialization.skipping { () throws(SATError) in try architecture.make(generator: Generator(seed: 0)) }
  }

  private static func needed(by module: Module) -> [(name: String, shape: [Int])] {
    module.stateDict.map { ($0.name, $0.tensor.shape) }
  }

  private static func misfit(_ fit: StateFit, _ module: Module, _ file: String) -> TorchError {
    TorchError(.value, "\(file) does not fit \(type(of: module)): \(fit.complaint)")
  }

  private static func loaded(
    _ module: any Layer, _ architecture: Architecture, _ normalization: Normalization?, from fit: StateFit, _ file: String,
    _ wanted: Wanted
  ) throws -> LoadedModel {
    try fit.load(into: module, file: file)
    let network = NetworkClassifier(module, architecture: architecture, normalization: normalization)
    network.module.setTraining(false)
    network.move(to: wanted.device)
    return LoadedModel(path: file, classifier: network, inputShape: try architecture.inputShape(), device: wanted.device)
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

internal import Foundation
internal import SwiftTorch

/// The named arrays of a file or folder. They stay on the disk until one is asked for.
struct NamedArrays {
  /// The file or folder, for messages.
  let path: String
  let names: [String]
  private let read: (String) throws -> Tensor

  /// Makes the CPU tensor of one of the names.
  func tensor(_ name: String) throws -> Tensor { try read(name) }

  private init(_ path: String, names: [String], read: @escaping (String) throws -> Tensor) {
    self.path = path
    self.names = names
    self.read = read
  }

  private init(_ path: String, _ stored: NamedStoredTensors) {
    self.init(path, names: stored.map(\.name)) { name in
      // `names` has only names of `stored`.
      var maker = TensorMaker([StoredTensor]())
      return try maker.tensor(stored.first { $0.name == name }!.tensor, source: path)
    }
  }

  /// Opens a safetensors file, an archive of NumPy, or a file of `torch.save`; nil for other kinds.
  init?(_ file: FileContents) throws {
    switch file.kind {
    case .safetensors: self.init(file.name, try SafeTensors.stored(in: file).tensors)
    case .npz:
      self.init(file.name, names: try NumPyFile.names(in: file)) { name in
        try NumPyFile.decodeArchive(file, names: [name])[0].tensor.makeTensor()
      }
    case .pytorchZip, .pytorchLegacy: self.init(file.name, try Self.arrays(of: PyTorchCheckpoint.decode(file).root, file.name))
    default: return nil
    }
  }

  /// Opens single arrays of NumPy under the given names.
  init(_ path: String, files: [(name: String, path: String)]) {
    self.init(path, names: files.map(\.name)) { name in
      try NumPyFile.readArray(files.first { $0.name == name }!.path).makeTensor()
    }
  }

  /// Opens the `.npy` files of a folder; nil if it has none.
  init?(folder: String) {
    let files = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".npy") }.sorted()
    guard !files.isEmpty else { return nil }
    self.init(folder, files: files.map { (String($0.dropLast(4)), "\(folder)/\($0)") })
  }

  /// Returns the arrays of a dictionary by their keys, and those of a pair as numpy.savez names them: arr_0 and arr_1.
  ///
  /// A saved `TensorDataset` counts as its tuple of tensors.
  private static func arrays(of root: CheckpointValue, _ source: String) throws -> NamedStoredTensors {
    func array(_ value: CheckpointValue) throws -> StoredTensor? { try value.tensor ?? value.numPyArray(source: source) }
    if case .list(let items)? = (root["tensors"] ?? root).content as CheckpointValue.Content? {
      return try items.enumerated().compactMap { place, item in try array(item).map { ("arr_\(place)", $0) } }
    }
    return try (root.entries ?? []).compactMap { key, value in
      guard let name = key.string, let array = try array(value) else { return nil }
      return (name, array)
    }
  }
}

/// A name of an array: the images or the labels, of one part of the data or of all.
struct ArrayRole: Equatable {
  enum Kind { case images, labels }
  let kind: Kind
  /// nil for arrays that are not divided.
  let split: DataSource.Split?
  /// The place among names of the same kind; the first is taken.
  let rank: Int

  private static let names: [Kind: [String]] = [
    .images: ["images", "image", "x", "data", "inputs", "arr_0"], .labels: ["labels", "label", "y", "targets", "target", "arr_1"],
  ]
  private static let splits: [String: DataSource.Split] = [
    "train": .train, "val": .validation, "valid": .validation, "validation": .validation, "test": .test,
  ]

  /// Recognises `images`, `x_test`, `train_labels` and the like, in any case; nil for other names.
  init?(_ name: String) {
    let name = name.lowercased()
    func place(_ base: String) -> (kind: Kind, rank: Int)? {
      for (kind, names) in Self.names { if let rank = names.firstIndex(of: base) { return (kind, rank) } }
      return nil
    }
    if let (kind, rank) = place(name) {
      self.kind = kind
      self.rank = rank
      split = nil
      return
    }
    for (word, split) in Self.splits {
      let base =
        name.hasPrefix(word + "_")
        ? name.dropFirst(word.count + 1) : name.hasSuffix("_" + word) ? name.dropLast(word.count + 1) : ""
      guard let (kind, rank) = place(String(base)) else { continue }
      self.kind = kind
      self.rank = rank
      self.split = split
      return
    }
    return nil
  }
}

internal import SwiftTorch

/// A weight of a file: one of its tensors, or a weight that PyTorch computes from several of them.
struct FileWeight {
  let shape: [Int]
  /// The tensors of the file that the weight needs.
  let parts: [StoredTensor]
  private let assembled: ([Tensor]) -> Tensor

  init(_ tensor: StoredTensor) {
    shape = tensor.shape
    parts = [tensor]
    assembled = { $0[0] }
  }

  private init(shape: [Int], _ parts: [StoredTensor], _ assembled: @escaping ([Tensor]) -> Tensor) {
    self.shape = shape
    self.parts = parts
    // A network holds its weights in float32, so parts in half precision become float32 too.
    self.assembled = { tensors in assembled(tensors.map { $0.dtype == .float64 ? $0 : $0.to(.float32) }) }
  }

  /// Makes the weight.
  ///
  /// - Parameters:
  ///   - maker: makes the parts.
  ///   - file: the file's name in messages.
  /// - Throws: `TorchError` that names the file if it cannot be read.
  func tensor(_ maker: inout TensorMaker, file: String) throws(TorchError) -> Tensor {
    var tensors: [Tensor] = []
    for part in parts { tensors.append(try maker.tensor(part, source: file)) }
    return assembled(tensors)
  }

  /// True if both weights are the same elements of the file.
  func isSame(as other: FileWeight) -> Bool {
    parts.count == other.parts.count && zip(parts, other.parts).allSatisfy { $0.isSame(as: $1) }
  }

  // MARK: Weights from several tensors

  /// Puts pruned and parametrised weights together, by PyTorch's names for their parts.
  ///
  /// The kinds are `prune` (`weight_orig` times `weight_mask`), `weight_norm` (`weight_g` and `weight_v`) and `spectral_norm`
  /// (`weight_orig`, `weight_u`, `weight_v`), and the last two as `parametrizations`. The parts of other kinds keep their names.
  static func assembling(_ entries: NamedStoredTensors) -> [(name: String, weight: FileWeight)] {
    let tensors = Dictionary(entries.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
    var used: Set<String> = []
    var made: [(name: String, weight: FileWeight)] = []
    for (name, tensor) in entries where !used.contains(name) {
      guard let (base, names, weight) = assembled(name, tensors) else {
        made.append((name, FileWeight(tensor)))
        continue
      }
      made.removeAll { names.contains($0.name) }
      used.formUnion(names)
      made.append((base, weight))
    }
    return made
  }

  /// Returns the weight that the tensor `name` is the main part of, with its name and the names of all parts.
  private static func assembled(
    _ name: String, _ tensors: [String: StoredTensor]
  ) -> (base: String, names: [String], weight: FileWeight)? {
    func weight(
      _ base: String, _ names: [String], _ make: (([StoredTensor]) -> FileWeight?)
    ) -> (base: String, names: [String], weight: FileWeight)? {
      let parts = names.compactMap { tensors[$0] }
      guard parts.count == names.count, tensors[base] == nil, let weight = make(parts) else { return nil }
      return (base, names, weight)
    }
    if name.hasSuffix("_orig"), case let base = String(name.dropLast("_orig".count)) {
      return weight(base, [name, "\(base)_mask"], pruned) ?? weight(base, [name, "\(base)_u", "\(base)_v"], spectral)
    }
    if name.hasSuffix("weight_g"), case let base = String(name.dropLast("_g".count)) {
      return weight(base, [name, "\(base)_v"], normalized)
    }
    var path = name.split(separator: ".").map(String.init)
    guard path.count >= 3, path[path.count - 3] == "parametrizations" else { return nil }
    let original = path.removeLast()
    let place = path.joined(separator: ".")
    path.remove(at: path.count - 2)
    let base = path.joined(separator: ".")
    switch original {
    case "original0": return weight(base, [name, "\(place).original1"], normalized)
    case "original": return weight(base, [name, "\(place).0._u", "\(place).0._v"], spectral)
    default: return nil
    }
  }

  private static func pruned(_ parts: [StoredTensor]) -> FileWeight? {
    guard parts[0].shape == parts[1].shape else { return nil }
    return FileWeight(shape: parts[0].shape, parts) { $0[0] * $0[1] }
  }

  /// Divides a weight by its largest singular value, which the vectors of the power method give.
  private static func spectral(_ parts: [StoredTensor]) -> FileWeight? {
    let shape = parts[0].shape
    guard let rows = shape.first, rows > 0, parts[1].shape == [rows], parts[2].shape == [parts[0].count / rows] else { return nil }
    return FileWeight(shape: shape, parts) { tensors in
      tensors[0] / tensors[1].matmul(tensors[0].reshaped(to: [rows, -1]).matmul(tensors[2]))
    }
  }

  /// Multiplies the directions of a weight by its lengths: one for each index of one dimension, or one for all.
  private static func normalized(_ parts: [StoredTensor]) -> FileWeight? {
    let (lengths, shape) = (parts[0].shape, parts[1].shape)
    if parts[0].count == 1 {
      return FileWeight(shape: shape, parts) { $0[1] * ($0[0].reshaped(to: []) / $0[1].square().sum().sqrt()) }
    }
    guard lengths.count == shape.count, let kept = lengths.firstIndex(where: { $0 != 1 }),
      lengths.indices.allSatisfy({ lengths[$0] == ($0 == kept ? shape[kept] : 1) })
    else { return nil }
    return FileWeight(shape: shape, parts) { tensors in
      let rows = tensors[1].transposed(0, kept)
      let norms = rows.reshaped(to: [lengths[kept], -1]).square().sum(dim: 1).sqrt().reshaped(to: lengths)
      return tensors[1] * (tensors[0] / norms)
    }
  }
}

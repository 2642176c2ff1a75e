internal import Foundation
internal import SwiftTorch

/// The tensors of other people's model files, taken apart into what belongs to the network and what stands around it.
struct ForeignState {
  /// The network's own, without what wrappers put before their names.
  private(set) var tensors: NamedTensors
  /// What a layer in front of the network subtracts and divides by.
  private(set) var normalization: Normalization?
  /// What was taken off or left out, in words.
  private(set) var notes: [String] = []

  /// The names such a layer has for the two: Madry's and RobustBench's.
  private static let pairs = [("mean", "std"), ("mu", "sigma")]
  /// - Throws: `SATError` when the file's normalisation is none.
  init(_ state: NamedTensors) throws(SATError) {
    // What torch.optim.swa_utils.AveragedModel counts beside its module.
    tensors = state.filter { $0.name != "n_averaged" }
    // No network of the catalogue has a module that holds all others, so a shared prefix is a wrapper's: "module.", or "1." where a
    // `Sequential` holds a normalisation and the network.
    tensors.removeSharedPrefix()
    // BatchNorm's statistics have other names, so a pair of these is a normalisation.
    for (mean, std) in Self.pairs {
      guard let found = tensors.first(where: { Self.last($0.name) == mean && Self.channels($0.tensor) != nil })?.name else { continue }
      let parent = found.dropLast(mean.count)
      guard let means = Self.channels(value(found)), let deviations = Self.channels(value(parent + std)) else { continue }
      let layer = try Normalization(mean: means, std: deviations)
      tensors.removeAll { $0.name == found || $0.name == parent + std }
      normalization = layer
      tensors.removeSharedPrefix()
      break
    }
  }

  /// Leaves out tensors that take no part in a network, by the beginnings of their keys.
  mutating func drop(_ unused: [String]) {
    for beginning in unused {
      let count = tensors.count
      tensors.removeAll { $0.name.hasPrefix(beginning) }
      if tensors.count < count { notes.append("\(count - tensors.count) tensors under '\(beginning)' are left out: the network does not use them") }
    }
  }

  private func value(_ name: some StringProtocol) -> Tensor? { tensors.first { $0.name == name }?.tensor }

  private static func last(_ name: String) -> Substring { name.split(separator: ".").last ?? "" }

  /// The numbers of a tensor [C], [C, 1, 1] or [1, C, 1, 1], as they were typed: the shortest that round to its float32.
  private static func channels(_ tensor: Tensor?) -> [Double]? {
    guard let tensor, tensor.dtype.isFloatingPoint, (1...4).contains(tensor.count), [1, 3, 4].contains(tensor.ndim),
      tensor.shape.count(where: { $0 != 1 }) <= 1
    else { return nil }
    return tensor.detached().to(.float32).array(of: Float.self).compactMap { Double("\($0)") }
  }
}

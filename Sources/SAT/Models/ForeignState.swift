internal import Foundation
internal import SwiftTorch

/// The tensors of a model file from another program, split into the network and its normalisation.
struct ForeignState {
  /// The network's tensors, without the prefixes that wrappers add to their names.
  private(set) var tensors: NamedTensors
  /// The normalisation layer in front of the network, if the file has one.
  private(set) var normalization: Normalization?
  /// Sentences about removed tensors, for the user.
  private(set) var notes: [String] = []

  /// The names of mean and deviation in such a layer: Madry's and RobustBench's.
  private static let pairs = [("mean", "std"), ("mu", "sigma")]

  /// Splits the tensors of a file; throws a `SATError` when the numbers of the file's normalisation are out of range.
  init(_ state: NamedTensors) throws(SATError) {
    // torch.optim.swa_utils.AveragedModel stores this counter beside its module.
    tensors = state.filter { $0.name != "n_averaged" }
    // No network of the catalogue has a module around all others, so a wrapper added any shared prefix: "module.", or "1." from a
    // `Sequential` of a normalisation and the network.
    tensors.removeSharedPrefix()
    // BatchNorm's statistics have other names, so such a pair is a normalisation.
    for (mean, std) in Self.pairs {
      let candidate = tensors.first { $0.name.split(separator: ".").last == mean[...] && Self.channels($0.tensor) != nil }
      guard let found = candidate?.name else { continue }
      let parent = found.dropLast(mean.count)
      guard let means = Self.channels(value(found)), let deviations = Self.channels(value(parent + std)) else { continue }
      normalization = try Normalization(mean: means, std: deviations)
      tensors.removeAll { $0.name == found || $0.name == parent + std }
      tensors.removeSharedPrefix()
      break
    }
  }

  /// Removes tensors that the network does not use, by the beginnings of their keys.
  mutating func drop(_ unused: [String]) {
    for beginning in unused {
      let count = tensors.count
      tensors.removeAll { $0.name.hasPrefix(beginning) }
      if tensors.count < count {
        notes.append("\(count - tensors.count) tensors under '\(beginning)' are left out because the network does not use them")
      }
    }
  }

  private func value(_ name: some StringProtocol) -> Tensor? { tensors.first { $0.name == name }?.tensor }

  /// Returns the numbers of a tensor [C], [C, 1, 1] or [1, C, 1, 1] as typed: the shortest decimals that round to its float32.
  private static func channels(_ tensor: Tensor?) -> [Double]? {
    guard let tensor, tensor.dtype.isFloatingPoint, (1...4).contains(tensor.count), [1, 3, 4].contains(tensor.ndim),
      tensor.shape.count(where: { $0 != 1 }) <= 1
    else { return nil }
    return tensor.detached().to(.float32).array(of: Float.self).compactMap { Double("\($0)") }
  }
}

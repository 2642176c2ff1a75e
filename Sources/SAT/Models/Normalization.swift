public import SwiftTorch

/// The map (x - mean) / std per channel in front of a network, so that images and epsilon stay in pixel units.
public struct Normalization: Sendable, Equatable, CustomStringConvertible {
  public let mean: [Double]
  public let std: [Double]

  /// The statistics that most checkpoints use, by name.
  public static let named: [(name: String, mean: [Double], std: [Double])] = [
    ("cifar10", [0.4914, 0.4822, 0.4465], [0.2471, 0.2435, 0.2616]),
    ("cifar100", [0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]), ("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ("mnist", [0.1307], [0.3081]),
  ]

  /// Parses a name, or MEAN and STD as comma-separated numbers with a space between.
  ///
  /// - Throws: `SATError` when the text is neither, the lengths differ, or a number is out of range.
  public init(_ text: String) throws(SATError) {
    if let known = Self.named.first(where: { $0.name == text }) {
      try self.init(mean: known.mean, std: known.std)
      return
    }
    let parts = text.split(separator: " ").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    let values = parts.map { $0.compactMap { Double($0) } }
    guard values.count == 2, values.map(\.count) == parts.map(\.count), values[0].count == values[1].count else {
      throw SATError(
        "normalisation '\(text)' is not known; expected \(Self.named.map(\.name).joined(separator: ", ")), or MEAN STD with a "
          + "number per channel, such as 0.4914,0.4822,0.4465 0.2471,0.2435,0.2616")
    }
    try self.init(mean: values[0], std: values[1])
  }

  /// Makes a normalisation with one mean and one positive deviation per channel.
  ///
  /// - Throws: `SATError` when the counts differ or a number is out of range.
  public init(mean: [Double], std: [Double]) throws(SATError) {
    self.mean = mean
    self.std = std
    guard mean.count == std.count, !mean.isEmpty else {
      throw SATError(
        "a normalisation has \(mean.count) means and \(std.count) standard deviations; expected one of each per channel")
    }
    // In float32 a smaller deviation may become zero, and a larger number infinite.
    let most = Limit.number.upperBound
    guard std.allSatisfy({ $0 >= 1 / most && $0 <= most }), mean.allSatisfy({ abs($0) <= most }) else {
      throw SATError(
        "normalisation '\(description)' has a number out of range; expected means from \(Fraction(-most)) to \(Fraction(most)) "
          + "and standard deviations above 0, from \(1 / most) to \(Fraction(most))")
    }
  }

  /// Parses the setting of a configuration: a name, MEAN and STD, or "none".
  static func optional(_ text: String) throws(SATError) -> Normalization? { text == "none" ? nil : try Normalization(text) }

  /// Throws a `SATError` if the normalisation has another number of channels than the network's images.
  func check(_ architecture: Architecture) throws(SATError) {
    let channels = try architecture.inputShape()[0]
    guard mean.count == channels else {
      throw SATError(
        "the normalisation has \(mean.count) channel\(mean.count == 1 ? "" : "s"), but \(architecture.name) takes images of "
          + "\(channels); give one mean and one deviation per channel")
    }
  }

  /// Normalises images [N, C, H, W].
  public func callAsFunction(_ images: Tensor) -> Tensor {
    func channels(_ values: [Double]) -> Tensor {
      Tensor(values, shape: [1, values.count, 1, 1]).to(images.dtype).to(images.device)
    }
    return (images - channels(mean)) / channels(std)
  }

  /// MEAN and STD in the form that the user types.
  public var description: String { [mean, std].map { $0.map { Fraction($0).text }.joined(separator: ",") }.joined(separator: " ") }
}

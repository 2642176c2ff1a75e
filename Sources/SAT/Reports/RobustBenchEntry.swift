internal import SwiftTorch

/// An entry of RobustBench's model zoo, `model_info/<dataset>/<threat>/<name>.json`.
///
/// The entry holds only the measured values, like that of RobustBench's `benchmark(to_disk=True)`. The other values are null, for a
/// person to complete.
public struct RobustBenchEntry: Encodable {
  public var dataset: String
  public var architecture: String?
  public var epsilon: String
  public var clean: Double
  public var robust: Double
  /// The number of images behind the two accuracies.
  public var samples: Int
  /// The device of the model, such as "cpu". The precision is always float32.
  public var device: String

  /// The number of test images of each board.
  private static let boards = ["cifar10": 10_000, "cifar100": 10_000, "imagenet": 5_000]

  /// Returns a sentence if the data has fewer images than the data set's board uses, else nil.
  public static func shortage(of data: ImageDataset) -> String? {
    guard let count = boards[data.name], data.count < count else { return nil }
    return "RobustBench's board of \(data.name) uses \(count) test images, but \(data.count) are evaluated"
  }

  /// Makes an entry from an evaluation. Epsilon is the text that the user typed, such as "8/255".
  public init(_ evaluation: Evaluation, dataset: String, architecture: String?, epsilon: String, device: String = "cpu") {
    let total = Double(evaluation.labels.count)
    self.dataset = dataset
    self.architecture = architecture
    self.epsilon = epsilon
    self.device = device
    samples = evaluation.labels.count
    clean = Double(evaluation.cleanCorrect) / total
    robust = Double(evaluation.robustCorrect) / total
  }

  private enum Keys: String, CodingKey {
    case link, name, authors, venue, dataset, architecture, eps, reported, unreliable, footnote, samples, precision, device,
      libtorch
    case additionalData = "additional_data"
    case forwardPasses = "number_forward_passes"
    case clean = "clean_acc"
    case robust = "autoattack_acc"
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    for key in [Keys.link, .name, .authors, .additionalData, .forwardPasses, .venue, .reported, .unreliable] {
      try container.encodeNil(forKey: key)
    }
    let isPartial = Self.boards[dataset].map { samples < $0 } ?? false
    let footnote = "Measured on \(samples) images, not on all test images of the board."
    try container.encode(isPartial ? footnote : nil, forKey: .footnote)
    try container.encode(samples, forKey: .samples)
    try container.encode(Execution.Precision.fp32, forKey: .precision)
    try container.encode(device, forKey: .device)
    try container.encode(Torch.version, forKey: .libtorch)
    try container.encode(dataset, forKey: .dataset)
    try container.encode(architecture, forKey: .architecture)
    try container.encode(epsilon, forKey: .eps)
    // All RobustBench entries hold percentages as text with two decimals.
    try container.encode(decimal(percentage(clean), 2), forKey: .clean)
    try container.encode(decimal(percentage(robust), 2), forKey: .robust)
  }
}

/// The user's choices of how pictures and arrays become images, and the images that the model takes.
public struct ImageReading {
  /// The order of an array's dimensions after the first: channels first, or channels last.
  public enum Layout: String, Sendable, CaseIterable { case nchw, nhwc }

  /// The layout of arrays; nil to recognise it.
  public var layout: Layout?
  /// The preprocessing of pictures and arrays; nil to resize only pictures that do not have the model's size.
  public var preprocessing: Preprocessing?
  /// The corruption of a folder such as CIFAR-10-C, and its severity from 1; nil for all severities.
  public var corruption: String?
  public var severity: Int?
  /// The shape [C, H, W] of the model's images; nil if it is not known.
  public var modelShape: [Int]?
  /// Tells whether the model takes images of a shape [C, H, W].
  public var accepts: ([Int]) -> Bool = { _ in true }

  public init(
    layout: Layout? = nil, preprocessing: Preprocessing? = nil, corruption: String? = nil, severity: Int? = nil,
    modelShape: [Int]? = nil
  ) {
    self.layout = layout
    self.preprocessing = preprocessing
    self.corruption = corruption
    self.severity = severity
    self.modelShape = modelShape
  }
}

extension ImageReading {
  /// The choices that the user made.
  var choices: [ReadingChoice] {
    (layout == nil ? [] : [.layout]) + (preprocessing == nil ? [] : [.preprocessing]) + (corruption == nil ? [] : [.corruption])
      + (severity == nil ? [] : [.severity])
  }
}

/// A choice of `ImageReading`. Each kind of data has a use for some of them.
enum ReadingChoice {
  case layout, preprocessing, corruption, severity

  /// The choice's option, and the reason why some data have no use for it.
  var text: (option: String, reason: String) {
    switch self {
    case .layout: ("--layout", "which holds no arrays of unknown layout")
    case .preprocessing: ("--resize, --crop or --preprocess", "whose images have one fixed size")
    case .corruption: ("--corruption", "which is no folder of corrupted images")
    case .severity: ("--severity", "which is no folder of corrupted images")
    }
  }
}

internal import SwiftTorch

/// Images and labels in named arrays: one pair, or one for each part of the data.
struct ArrayImages: ImageParts {
  let name: String
  let arrays: NamedArrays
  let reading: ImageReading

  private static let expected =
    "expected 'images' [N, C, H, W] and 'labels' [N], or one of the pairs image and label, x and y, data and targets, arr_0 and "
    + "arr_1, or pairs such as x_test and y_test"

  private func name(_ kind: ArrayRole.Kind, _ split: DataSource.Split?) -> String? {
    let ranked = arrays.names.compactMap { name in
      ArrayRole(name).flatMap { $0.kind == kind && $0.split == split ? (name, $0.rank) : nil }
    }
    return ranked.min { $0.1 < $1.1 }?.0
  }

  private func has(_ split: DataSource.Split?) -> Bool { name(.images, split) != nil && name(.labels, split) != nil }

  var usedChoices: Set<ReadingChoice> { [.layout, .preprocessing] }
  var hasParts: Bool { has(.test) || has(.train) }

  func testPart() throws -> ImageDataset { try hasParts ? load(.test, "test") : load(nil, "file") }

  func trainingParts() throws -> (train: ImageDataset, validation: ImageDataset) {
    guard hasParts else { return try load(nil, "file").splittingOffValidation() }
    let train = try load(.train, "train")
    return has(.validation) ? (train, try load(.validation, "validation")) : train.splittingOffValidation()
  }

  private func load(_ part: DataSource.Split?, _ split: String) throws -> ImageDataset {
    guard let images = name(.images, part), let labels = name(.labels, part) else {
      let found = arrays.names.isEmpty ? "nothing" : arrays.names.prefix(8).joined(separator: ", ")
      let lack = hasParts ? " for the part \(split)" : ""
      throw SATError("\(arrays.path) has no arrays of images and labels\(lack); \(Self.expected); found \(found)")
    }
    return try ImageDataset(
      name: name, split: split, imageArray: arrays.tensor(images), labelArray: arrays.tensor(labels), reading: reading)
  }
}

extension ImageDataset {
  /// Makes a data set from arrays as people save them.
  ///
  /// Images are [N, C, H, W], [N, H, W, C] or [N, H, W]: floats in [0, 1] or whole numbers from 0 to 255. Labels are [N], [N, 1]
  /// or one-hot [N, classes].
  /// - Throws: `SATError` when the arrays have other shapes or values.
  init(
    name: String, split: String, imageArray: Tensor, labelArray: Tensor, classNames: [String] = [], reading: ImageReading
  ) throws {
    var notes: [String] = []
    let labels = try Self.labels(labelArray, name, &notes)
    var images = try Self.ordered(Self.pixels(imageArray, name), name, reading, &notes)
    if let preprocessing = reading.preprocessing {
      let size = preprocessing.size(height: images.size(2), width: images.size(3))
      // One piece after the other, because a resize needs many times the memory of its bytes.
      images = .concatenated((0..<images.size(0)).chunks(of: 256).map { preprocessing(images[$0]) })
      notes.append("the images are \(preprocessing), to \(size.width) x \(size.height)")
    }
    try self.init(name: name, split: split, images: images, labels: labels, classNames: classNames)
    self.notes = notes + self.notes
  }

  /// Returns labels [N], int64.
  private static func labels(_ array: Tensor, _ name: String, _ notes: inout [String]) throws(SATError) -> Tensor {
    var labels = array.dtype.isFloatingPoint ? array.to(.float64) : array.to(.int64)
    if labels.ndim == 2, labels.size(1) == 1 { labels = labels[.all, 0] }
    if labels.ndim == 2, labels.count > 0 {
      let isOneHot =
        labels.equal(to: 0).sum().item() == Double(labels.count - labels.size(0))
        && labels.equal(to: 1).sum(dim: 1).equal(to: 1).sum().item() == Double(labels.size(0))
      guard isOneHot else {
        throw SATError(
          "\(name): the labels have shape \(array.shape), but their rows are not one-hot, a single 1 among zeros; expected one "
            + "class per image")
      }
      notes.append("the labels are one-hot, so each is the place of its 1")
      return labels.argmax(dim: 1)
    }
    if array.dtype.isFloatingPoint {
      guard labels.equal(to: labels.rounded()).sum().item() == Double(labels.count) else {
        throw SATError("\(name): the labels are \(array.dtype) with fractions; expected whole numbers")
      }
      labels = labels.to(.int64)
    }
    return labels
  }

  /// Returns the array as uint8, or as float32 if it holds fractions.
  private static func pixels(_ array: Tensor, _ name: String) throws(SATError) -> Tensor {
    if array.dtype == .uint8 || array.count == 0 { return array }
    if array.dtype.isFloatingPoint { return array.to(.float32) }
    guard !array.dtype.isComplex, array.dtype != .bool else { return array }
    let whole = array.to(.int64)
    let (low, high) = (whole.min().item(), whole.max().item())
    guard low >= 0, high <= 255 else {
      throw SATError(
        "\(name): the pixels are \(array.dtype) between \(Int(low)) and \(Int(high)); expected whole numbers from 0 to 255, or "
          + "floats in [0, 1]; divide them first")
    }
    guard high > 1 else {
      throw SATError(
        "\(name): the pixels are \(array.dtype) and none is above 1, so 1 may mean white or almost black; save them as floats in "
          + "[0, 1] or as uint8")
    }
    return whole.to(.uint8)
  }

  /// Returns the images with channels first.
  private static func ordered(
    _ images: Tensor, _ name: String, _ reading: ImageReading, _ notes: inout [String]
  ) throws(SATError) -> Tensor {
    if images.ndim == 3 {
      guard reading.layout == nil, images.size(1) > 4, images.size(2) > 4 else {
        throw SATError("\(name): the images have shape \(images.shape); expected [N, C, H, W] or [N, H, W, C]")
      }
      notes.append("the images \(images.shape) have no channels, so they are read as one channel")
      return images.unsqueezed(dim: 1)
    }
    guard images.ndim == 4 else { return images }
    let (first, last) = (Array(images.shape[1...]), [images.size(3), images.size(1), images.size(2)])
    func turned() -> Tensor { images.permuted(0, 3, 1, 2).contiguous() }
    if let layout = reading.layout { return layout == .nchw ? images : turned() }
    var fits = reading.modelShape.map { (first: $0 == first, last: $0 == last) } ?? (first: false, last: false)
    if !fits.first, !fits.last { fits = (1...4 ~= first[0], 1...4 ~= last[0]) }
    if fits.first, fits.last, reading.modelShape == nil { fits = (reading.accepts(first), reading.accepts(last)) }
    if fits.last, !fits.first {
      notes.append(
        "the images \(images.shape) are read with channels last, [N, H, W, C]; --layout nchw reads them with channels first")
      return turned()
    }
    if fits.last, fits.first {
      notes.append(
        "the images \(images.shape) are read with channels first, [N, C, H, W]; --layout nhwc reads them with channels last")
    }
    return images
  }
}

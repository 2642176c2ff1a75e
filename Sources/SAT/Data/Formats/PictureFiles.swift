internal import FileCodecs
internal import SwiftTorch

/// Pictures in files, decoded on demand.
struct PictureFiles: Sendable {
  let paths: [RawPath]
  /// The shape of one image, [1 or 3, H, W]; one channel is Pillow's mode L.
  let imageShape: [Int]
  let preprocessing: Preprocessing
  /// True to leave a picture alone that already has the images' size.
  let keepsRightSize: Bool

  /// Returns the picture of a file in its own size, [3, H, W], uint8.
  static func read(_ path: RawPath) throws(TorchError) -> Tensor {
    let bytes = try FileBytes.read(path, expecting: "a picture")
    return try naming(path.description) { () throws(FormatError) in try ImageCodec.decode(bytes) }
  }

  /// Returns the picture of a file in its own size, [1 or 3, H, W], uint8, with the channels of the images.
  func picture(_ index: Int) throws(TorchError) -> Tensor {
    let picture = try Self.read(paths[index])
    return imageShape[0] == 1 ? picture.luma : picture
  }

  /// Returns the images at the given positions in the size for evaluation, [N, C, H, W], uint8.
  func images(_ positions: [Int]) throws(TorchError) -> Tensor { .stacked(try positions.map(image)) }

  private func image(_ index: Int) throws(TorchError) -> Tensor {
    let picture = try picture(index)
    if keepsRightSize && picture.shape == imageShape { return picture }
    let image = preprocessing(picture)
    guard image.shape == imageShape else {
      throw TorchError(
        .value,
        "\(paths[index]): is a picture of \(picture.size(2)) x \(picture.size(1)) and makes an image of "
          + "\(image.size(2)) x \(image.size(1)); expected \(imageShape[2]) x \(imageShape[1]), the size of the folder's first "
          + "image; choose one size for all with --resize and --crop")
    }
    return image
  }

  func selecting(_ positions: [Int]) -> PictureFiles {
    PictureFiles(
      paths: positions.map { paths[$0] }, imageShape: imageShape, preprocessing: preprocessing, keepsRightSize: keepsRightSize)
  }
}

extension PictureFiles {
  /// Chooses the images' shape for a folder's pictures, and the way to it.
  ///
  /// The user's preprocessing decides. Without one, pictures that all have the model's size, or all have one size that the model
  /// takes, stay as they are; otherwise they become squares of the model's size, or of 224 pixels.
  /// - Returns: the files, and sentences about what happens to the pictures.
  /// - Throws: `TorchError` when a picture cannot be read, `SATError` when the model's images are no squares.
  static func chosen(_ paths: [RawPath], _ reading: ImageReading) throws -> (files: PictureFiles, notes: [String]) {
    let first = try size(paths[0])
    let channels = channels(first, reading)
    var notes = channels == 1 ? ["the pictures are read in grey, because the model takes one channel"] : []
    func files(_ preprocessing: Preprocessing, _ size: (height: Int, width: Int), keeps: Bool) -> PictureFiles {
      PictureFiles(
        paths: paths, imageShape: [channels, size.height, size.width], preprocessing: preprocessing, keepsRightSize: keeps)
    }
    if let preprocessing = reading.preprocessing {
      return (files(preprocessing, preprocessing.size(height: first.height, width: first.width), keeps: false), notes)
    }
    let wanted = reading.modelShape.map { ($0[1], $0[2]) }
    let square = [channels, 224, 224]
    // A script that refuses this size, but takes ImageNet's, wants ImageNet's.
    let fits = wanted.map { $0 == first } ?? (reading.accepts([channels, first.height, first.width]) || !reading.accepts(square))
    let other = fits ? try paths.dropFirst().lazy.map(size).first { $0 != first } : nil
    guard !fits || other != nil else { return (files(Preprocessing(), first, keeps: true), notes) }
    let (height, width) = wanted ?? (224, 224)
    guard height == width else {
      throw SATError(
        "\(paths[0]) is a picture of \(first.width) x \(first.height), but the model takes \(width) x \(height), which is no "
          + "square; resize the pictures first")
    }
    let middle = Preprocessing.middle(side: height)
    let cause =
      other.map { "pictures have several sizes, such as \(first.width) x \(first.height) and \($0.width) x \($0.height)" }
      ?? "pictures of \(first.width) x \(first.height) do not fit the model"
    notes.append(
      "\(cause), so every picture of another size than \(width) x \(height) is \(middle); --resize, --crop or --preprocess "
        + "chooses another way")
    return (files(middle, (height, width), keeps: true), notes)
  }

  /// The channels of the model's images; a model that takes one as well as three gets three, as the files have.
  private static func channels(_ size: (height: Int, width: Int), _ reading: ImageReading) -> Int {
    if let shape = reading.modelShape { return shape[0] == 1 ? 1 : 3 }
    let sizes = [(size.height, size.width), (224, 224)]
    guard !sizes.contains(where: { reading.accepts([3, $0.0, $0.1]) }) else { return 3 }
    return sizes.contains { reading.accepts([1, $0.0, $0.1]) } ? 1 : 3
  }

  private static func size(_ path: RawPath) throws(TorchError) -> (height: Int, width: Int) {
    let bytes = try FileBytes.read(path, expecting: "a picture")
    return try naming(path.description) { () throws(FormatError) in try ImageCodec.size(bytes) }
  }
}

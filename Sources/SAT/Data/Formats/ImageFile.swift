internal import SwiftTorch

/// The reader of the user's own image files: safetensors, NumPy's npz, or a binary batch of CIFAR. The contents tell them apart.
///
/// A safetensors or npz file holds `images` [N, C, H, W] (float in [0, 1], or uint8) and `labels` [N].
enum ImageFile {
  static func load(_ path: String) throws -> ImageDataset {
    let file = try FileContents.read(path, expecting: "images and labels")
    let tensors: NamedTensors
    switch file.kind {
    case .safetensors: tensors = try SafeTensors.decode(file).tensors
    case .npz:
      tensors = try NumPyFile.decodeArchive(file, names: ["images", "labels"]).map { ($0.name, try $0.tensor.makeTensor()) }
    default:
      if let batch = try CIFAR.file(path, file.bytes()) { return batch }
      throw SATError(
        "\(path) is neither safetensors, npz nor a binary CIFAR file; expected arrays 'images' and 'labels', or a .bin file")
    }
    func entry(_ name: String) throws(SATError) -> Tensor {
      guard let tensor = tensors.first(where: { $0.name == name })?.tensor else {
        let present = tensors.map(\.name).joined(separator: ", ")
        throw SATError(
          "\(path) has no array '\(name)'; expected 'images' [N, C, H, W] and 'labels' [N], found "
            + "\(present.isEmpty ? "nothing" : present)")
      }
      return tensor
    }
    let (images, labels) = (try entry("images"), try entry("labels"))
    guard !labels.dtype.isFloatingPoint else { throw SATError("\(path): the labels are \(labels.dtype); expected whole numbers") }
    return try ImageDataset(
      name: path, split: "file", images: images.dtype.isFloatingPoint ? images.to(.float32) : images, labels: labels.to(.int64))
  }
}

public import SwiftTorch

/// A file with an evaluation's adversarial images and everything that `sat verify` needs to check them.
///
/// `images` and `originals` are [N, C, H, W], float32 in [0, 1]; `labels` is [N]. `originals` holds the data. `images` holds the
/// broken images as the attack left them, and the other images unchanged. `answers` [N, 2] holds the model's classes for the
/// original and the image, and `confidence` [N, 2] their softmax probabilities; older files lack both. The metadata hold the
/// evaluation's JSON document. In older files the originals are bytes.
public struct SavedImages {
  public let path: String
  public let images: Tensor
  public let originals: ImageDataset
  public let threat: ThreatModel
  /// The evaluation's flag for each clean image: true if correct.
  public let clean: [Bool]
  /// The evaluation's flag for each sample after all attacks: true if correct.
  public let robust: [Bool]
  public let document: EvaluationDocument

  /// The evaluated model, under its name at that time.
  public var model: String { document.model }

  static let metadataKey = "sat.evaluation"

  /// Writes the images of an evaluation beside its document.
  ///
  /// `logits` returns the model's logits for a batch of images, on the CPU, for the answers; without it the file has none.
  ///
  /// - Throws: `TorchError` if the file cannot be written, and the errors of `logits`.
  public static func write(
    _ adversarial: AdversarialImages, _ data: ImageDataset, _ document: EvaluationDocument,
    logits: ((Tensor) throws -> Tensor)? = nil,
    to path: String
  ) throws {
    let images = try adversarial.merged(into: data)
    let originals = try data.batch(0..<data.count).images.contiguous()
    var tensors = [("images", images), ("originals", originals), ("labels", data.labels)]
    if let logits {
      let batches = (0..<data.count).chunks(of: document.batchSize)
      let shares = try [originals, images].map { set in
        Tensor.concatenated(try batches.map { try logits(set[$0]) }).to(.float32).softmax(dim: 1)
      }
      tensors.append(("answers", .stacked(shares.map { $0.argmax(dim: 1) }, dim: 1)))
      tensors.append(("confidence", .stacked(shares.map { $0.max(dims: [1]) }, dim: 1)))
    }
    try SafeTensors(tensors: tensors, metadata: [metadataKey: document.json()]).write(to: path)
  }

  /// Reads a file of saved images.
  ///
  /// - Throws: An error if `sat evaluate --save` did not write the file, or its parts do not fit together.
  public static func read(_ path: String) throws -> SavedImages {
    let file = try SafeTensors.read(path)
    guard let text = file.metadata[metadataKey], let images = file["images"], let labels = file["labels"],
      let originals = file["originals"]
    else {
      throw SATError(
        "\(path) does not hold images, originals, labels and an evaluation; expected a file that `sat evaluate --save` wrote")
    }
    let document: EvaluationDocument
    do { document = try .decoded(Array(text.utf8)) } catch {
      throw SATError("\(path): its evaluation \(error.reason); save the images again with `sat evaluate --save`")
    }
    guard let threat = document.threat else {
      throw SATError(
        "\(path) holds an evaluation without attacks, so there is nothing to check; evaluate with --epsilon and --save")
    }
    let data = try ImageDataset(name: document.data.name, split: document.data.split, images: originals, labels: labels)
    guard images.shape == originals.shape, images.dtype == .float32 else {
      throw SATError(
        "\(path): the images are \(images.dtype) \(images.shape), but the originals are \(originals.shape); expected float32 of "
          + "that shape")
    }
    guard let clean = document.flags["clean"], let robust = document.flags["robust"], clean.count == data.count,
      robust.count == data.count
    else {
      throw SATError("\(path): its flags do not match its \(data.count) samples; save the evaluation again")
    }
    return SavedImages(
      path: path, images: images, originals: data, threat: threat, clean: clean.map { $0 == 1 }, robust: robust.map { $0 == 1 },
      document: document)
  }
}

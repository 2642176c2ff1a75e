public import SwiftTorch

/// A model that a command line names, loaded and ready for images.
public struct LoadedModel {
  /// The path that was asked for: a run folder, or the file itself.
  public internal(set) var name: String
  /// The file that holds the weights.
  public let path: String
  public let classifier: any Classifier
  /// The shape [C, H, W] of the input; nil for TorchScript, which does not state it.
  public let inputShape: [Int]?
  /// The device that holds the weights.
  public let device: Device
  /// The modules that a TorchScript archive saved in training mode, "" for the whole archive; all are in evaluation mode now.
  public var trainingModules: [String] = []
  /// Sentences for the user about parts of the file that sat used or left out on its own.
  public var notes: [String] = []

  init(path: String, classifier: any Classifier, inputShape: [Int]?, device: Device, trainingModules: [String] = []) {
    name = path
    self.path = path
    self.classifier = classifier
    self.inputShape = inputShape
    self.device = device
    self.trainingModules = trainingModules
  }

  /// Returns true if the model takes images of a shape [C, H, W]. A script is tried on a black image.
  public func takes(_ shape: [Int]) -> Bool {
    if let inputShape { return inputShape == shape }
    // A script would silently broadcast a wrong number of channels.
    if let normalization = (classifier as? ScriptClassifier)?.normalization, normalization.mean.count != shape[0] { return false }
    let image = Tensor.zeros([1] + shape).to(device)
    return (try? withNoGrad { () throws(TorchError) in try classifier.logits(image) }) != nil
  }

  /// Tries the model on one image, and a script also on two, so that a mismatch shows before the work starts.
  ///
  /// - Throws: `SATError` when the images have another size, the output is not [N, classes] of floats, or a label has no logit.
  public func check(_ data: ImageDataset) throws(SATError) {
    if let inputShape, inputShape != data.imageShape {
      throw SATError(
        "\(path) takes images of shape \(inputShape), but the images of \(data.name) are \(data.imageShape); use data of that size")
    }
    // `named` has checked networks of the catalogue; a script would silently broadcast a wrong number of channels.
    if let normalization = (classifier as? ScriptClassifier)?.normalization, normalization.mean.count != data.imageShape[0] {
      throw SATError(
        "the normalisation has \(normalization.mean.count) channels, but the images of \(data.name) have \(data.imageShape[0]); "
          + "give --normalize one mean and one deviation per channel")
    }
    let image: Tensor
    do { image = try data.batch(0..<1).images.to(device) } catch { throw SATError(error.message) }
    func ask(_ images: Tensor) -> Result<Tensor, TorchError> {
      Result { () throws(TorchError) in try withNoGrad { () throws(TorchError) in try classifier.logits(images) } }
    }
    // A traced archive may work with only one batch size.
    let alone = ask(image)
    let pair = classifier is ScriptClassifier ? ask(Tensor.concatenated([image, image])) : alone
    let logits: Tensor
    switch (alone, pair) {
    case (.success(let found), .success): logits = found
    case (.failure(let error), .failure):
      throw SATError("\(path) does not take the images of \(data.name), which are \(data.imageShape): \(error.message)")
    case (.success, .failure(let error)), (.failure(let error), .success):
      throw SATError(
        "\(path) takes batches of one size only, but attacks need any batch size; script the network, or trace it without a fixed "
          + "batch size: \(error.message)")
    }
    guard data.classCount <= logits.size(1) else {
      throw SATError(
        "\(path) has \(logits.size(1)) classes, but the labels of \(data.name) go up to \(data.classCount - 1); use a model and "
          + "data that fit"
      )
    }
  }
}

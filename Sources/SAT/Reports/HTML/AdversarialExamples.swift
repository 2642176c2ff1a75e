internal import Foundation
internal import SwiftTorch

/// A few images of an evaluation: the originals, the attacked images and the changes, in bytes that a browser can draw.
struct AdversarialExamples: Encodable {
  /// The number of images in the paper's Fig. 8.
  static let limit = 10

  struct Example: Encodable {
    var label: Int
    /// The model's answers before and after the attack, with their probabilities; nil in older files.
    var answers: [Int]?
    var confidence: [Double]?
    /// The largest change of a value.
    var change: Double
    /// Base64 of the rows of pixels from the top, with the channels of a pixel side by side.
    var original: String
    var adversarial: String
    /// The change: grey is none, black is −`scale` and white is +`scale`.
    var difference: String
  }

  var width: Int
  var height: Int
  /// The number of channels, 1 or 3.
  var channels: Int
  /// The change that is drawn white: the radius of an L-infinity threat model, else the largest change.
  var scale: Double
  var examples: [Example]
  /// The number of images that the attack changed, and the number of images in the file.
  var changed: Int
  var total: Int
  var evaluation: EvaluationDocument
  /// Row by row for each class, the share of each answer under attack; nil in older files.
  var confusion: [[Double]]?

  private enum CodingKeys: String, CodingKey { case width, height, channels, scale, examples }

  /// Reads the first changed images of a file.
  ///
  /// Returns nil if `sat evaluate --save` did not write the file.
  ///
  /// - Throws: An error if the file cannot be read or its parts do not fit together.
  static func read(_ path: String) throws -> AdversarialExamples? {
    let file = try SafeTensors.read(path)
    guard let text = file.metadata[SavedImages.metadataKey], let images = file["images"], let labels = file["labels"],
      let originals = file["originals"]
    else { return nil }
    guard images.ndim == 4, [1, 3].contains(images.size(1)), images.dtype.isFloatingPoint, images.count > 0,
      images.shape == originals.shape
    else {
      throw SATError("its images, \(images.dtype) \(images.shape), and originals \(originals.shape) are not those of one set")
    }
    guard labels.dtype == .int64, labels.shape == [images.size(0)] else {
      throw SATError("it has labels \(labels.dtype) \(labels.shape) for \(images.size(0)) images")
    }
    let evaluation: EvaluationDocument
    do { evaluation = try .whole(Array(text.utf8)) } catch { throw SATError("its evaluation \(error.reason)") }
    let before = originals.dtype == .uint8 ? originals.to(.float32) / 255 : originals.to(.float32)
    let change = images.to(.float32) - before
    let sizes = change.abs().reshaped(to: images.size(0), -1).max(dims: [1])
    let changed = sizes.array(of: Float.self).enumerated().filter { $0.element > 0 }.map(\.offset)
    let chosen = Array(changed.prefix(limit))
    let radius = evaluation.threat.flatMap { $0.norm == .linf ? $0.epsilon : nil }
    let scale = radius ?? (chosen.isEmpty ? 1 : sizes.selecting(Tensor(chosen)).max().item())
    let names = labels.array(of: Int.self)
    let (answers, confidence) = (file["answers"], file["confidence"])
    for (part, dtype) in [(answers, DType.int64), (confidence, .float32)] {
      guard let part, part.dtype != dtype || part.shape != [names.count, 2] else { continue }
      throw SATError("it has answers \(part.dtype) \(part.shape) for \(names.count) images")
    }
    let examples = chosen.map { i in
      Example(
        label: names[i], answers: answers.map { $0[i].array(of: Int.self) },
        confidence: confidence.map { $0[i].to(.float64).array(of: Double.self) }, change: sizes[i].item(),
        original: base64(before[i]), adversarial: base64(images[i]),
        difference: base64(change[i] / (2 * scale) + 0.5))
    }
    return AdversarialExamples(
      width: images.size(3), height: images.size(2), channels: images.size(1), scale: scale, examples: examples,
      changed: changed.count, total: images.size(0), evaluation: evaluation,
      confusion: answers.flatMap { confusion(names, $0.selecting(Tensor([1]), dim: 1).array(of: Int.self)) })
  }

  /// Returns the share of each answer among the images of each class, one row per class; nil if a chart cannot show the classes.
  private static func confusion(_ labels: [Int], _ answers: [Int]) -> [[Double]]? {
    guard (labels + answers).allSatisfy((0..<Chart.gridLimit).contains) else { return nil }
    let classes = (labels + answers).max()! + 1
    var counts = Array(repeating: Array(repeating: 0.0, count: classes), count: classes)
    for (label, answer) in zip(labels, answers) { counts[label][answer] += 1 }
    return counts.map { row in row.map { $0 / row.reduce(0, +) } }
  }

  /// An image [C, H, W] of floats in [0, 1].
  private static func base64(_ image: Tensor) -> String {
    let bytes = (image.clamped(to: 0...1) * 255).rounded().to(.uint8).permuted(1, 2, 0).contiguous()
    return Data(bytes.array(of: UInt8.self)).base64EncodedString()
  }
}

import ArgumentParser
import SAT
import SwiftTorch

/// The options that name a model and the clean or perturbed images on which its loss is measured.
struct ModelOnImages: ParsableArguments {
  enum Place: String, ExpressibleByArgument, CaseIterable { case clean, adversarial }

  @OptionGroup var options: ModelAndData
  @OptionGroup var perturbation: PerturbationOptions

  @Option(help: ArgumentHelp("Samples in a batch. Default: chosen for the task, at most 128.", valueName: "n"))
  var batchSize: Int?

  var path: String { options.path }
  var seed: UInt64 { options.seed }

  func validate() throws {
    try check("--batch-size", batchSize, in: Limit.batchSize)
    if options.execution.precision == .bf16 {
      throw ValidationError("--precision bf16 is too coarse to measure the shape of a loss; leave it out.")
    }
  }

  /// The loaded model and its images, on the model's device.
  struct Subject {
    var model: LoadedModel
    var data: ImageDataset
    var device: Device
    /// The configuration of the run; nil if the model is not a run folder.
    var trained: TrainingConfiguration?
    /// [N, C, H, W], float32.
    var images: Tensor
    var labels: Tensor
  }

  func load() throws -> Subject {
    // Measured: second derivatives on the CPU are 5 to 15 % faster in the contiguous layout.
    let loaded = try options.load(layout: .contiguous)
    let layout = loaded.execution.memoryFormat.format
    let (images, labels) = try loaded.data.batch(0..<loaded.data.count)
    return Subject(
      model: loaded.model, data: loaded.data, device: loaded.device, trained: loaded.trained,
      images: images.to(loaded.device).contiguous(layout), labels: labels.to(loaded.device))
  }
}

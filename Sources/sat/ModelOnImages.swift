import ArgumentParser
import SAT

/// The options that name a model and the images, clean or perturbed, at which its loss is measured.
struct ModelOnImages: ParsableArguments {
  enum Place: String, ExpressibleByArgument, CaseIterable { case clean, adversarial }

  @OptionGroup var options: ModelAndData
  @OptionGroup var perturbation: PerturbationOptions

  @Option(help: ArgumentHelp("Samples in a batch. Default: the task's own choice, at most 128.", valueName: "n"))
  var batchSize: Int?

  var path: String { options.path }
  var seed: UInt64 { options.seed }

  func validate() throws {
    try check("--batch-size", batchSize, in: Limit.batchSize)
    if options.execution.precision == .bf16 {
      throw ValidationError("--precision bf16 is too coarse to measure the shape of a loss; remove it.")
    }
  }
}

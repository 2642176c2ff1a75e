import ArgumentParser
import SAT
import SwiftTorch

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check saved adversarial images again.",
    discussion: """
      FILE is what `sat evaluate --save` wrote: images, originals and what was found. Every claim is checked against the model anew: the
      perturbations are within epsilon and the box, broken images are misclassified in a batch and alone, the rest is untouched. What
      is left when pixels become bytes is told as well. Exit status 1 when a claim does not hold.

      With --data the originals are also compared with the data set, so that nothing of the file is taken on trust.

      Examples:
        sat verify adversarial.safetensors --model-file runs/digits-p-sat
        sat verify adversarial.safetensors --model-file lenet5.pt --model lenet5 --data mnist --indices 0:500 --json
      """)

  @Argument(help: ArgumentHelp("File of adversarial images.", valueName: "file"))
  var file: String

  @Option(help: ArgumentHelp("Run folder or model file.", valueName: "model"))
  var modelFile: String

  @OptionGroup var choice: CheckpointChoice

  @OptionGroup var architecture: ArchitectureOptions
  @OptionGroup var selection: DataSelection

  @Option(help: ArgumentHelp("Samples in a batch.", valueName: "n"))
  var batchSize = 128

  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try check("--batch-size", batchSize, in: Limit.batchSize)
    if selection.data == nil && (selection.first != nil || selection.indices != nil || selection.split != nil) {
      throw ValidationError("--first, --indices and --split choose the images of --data to compare with; add it or leave them out.")
    }
  }

  func run() throws {
    try output.begin(reading: .files([file]) + .model(modelFile) + .data(selection.data, root: dataOptions.root))
    let settings = execution.applied()
    let device = try settings.prepare()
    let saved = try SavedImages.read(file)
    let data = try selection.data.map { source in try selection.load(source, root: dataOptions.root) }
    if let data, data.count != saved.originals.count {
      throw SATError(
        "\(file) holds \(saved.originals.count) images and \(data.count) of \(data.name) are to be compared with them; choose those it was made "
          + "of with --split and --first or --indices")
    }
    let model = try ModelFile.load(
      path: modelFile, checkpoint: try choice.name(in: modelFile), architecture: try architecture.architecture(),
      normalization: try architecture.normalization(), device: device)
    model.classifier.execution = settings
    try model.check(saved.originals, device: device)
    let verification = try Verification.run(
      saved, model: model.classifier, modelName: modelFile, data: data, batchSize: batchSize, device: device,
      layout: settings.memoryFormat.format)
    try output.deliver(verification, text: VerificationTable(verification).description)
    if !verification.holds { throw ExitCode(1) }
  }
}

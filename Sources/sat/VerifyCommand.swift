import ArgumentParser
import SAT
import SwiftTorch

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Check saved adversarial images with the model.",
    discussion: """
      `sat evaluate --save` writes FILE with images, originals and results. `sat verify` checks its claims again: perturbations \
      lie within epsilon and the box; the model misclassifies each broken image, in a batch and alone; all other images are \
      unchanged. Exit status 1 if a claim does not hold.

      The result also says how many images stay misclassified after rounding to bytes. With --data, the command also compares the \
      originals with the data set, so it trusts nothing in the file.

      EXAMPLES:
        sat verify adversarial.safetensors --model-file runs/digits-p-sat
        sat verify adversarial.safetensors --model-file lenet5.pt --model lenet5 \\
          --data mnist --indices 0:500 --json
      """)

  @Argument(help: .value("file", "File that `sat evaluate --save` wrote.")) var file: String
  @Option(help: .value("model", "Run folder or model file.")) var modelFile: String
  @OptionGroup var model: ModelOptions
  @OptionGroup var selection: DataSelection
  @Option(help: .value("n", "Samples in a batch.")) var batchSize = 128
  @OptionGroup var execution: ExecutionOptions
  @OptionGroup var dataOptions: DataOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try check("--batch-size", batchSize, in: Limit.batchSize)
    if selection.data == nil
      && (selection.first != nil || selection.indices != nil || selection.part.split != nil || selection.part.reading.isGiven)
    {
      throw ValidationError("Options that choose images, such as --first and --split, need --data; add it, or leave them out.")
    }
  }

  func run() throws {
    try output.begin(
      "reading the images and the model",
      reading: .files([file]) + .model(modelFile) + .data(selection.data, root: dataOptions.root))
    let saved = try SavedImages.read(file)
    let settings = execution.applied()
    let model = try model.load(modelFile, execution: settings)
    let data = try selection.data.map { try selection.load($0, root: dataOptions.root, for: model) }
    if let data, data.count != saved.originals.count {
      throw SATError(
        "\(file) holds \(saved.originals.count) images, but the options select \(data.count) of \(data.name); select the same "
          + "images with --split and --first or --indices")
    }
    try model.check(saved.originals)
    for note in model.notes { Terminal.standardError.line("\(modelFile): \(note)") }
    let verification = try Verification.run(
      saved, model: model.classifier, modelName: model.name, data: data, batchSize: batchSize, device: model.device,
      layout: settings.memoryFormat.format)
    try output.deliver(verification, text: VerificationTable(verification).description)
    if !verification.holds { throw ExitCode(1) }
  }
}

// Evaluates a checkpoint with AutoAttack on digits, as `sat evaluate` does. Without an argument it first trains a small one.
import SAT

let path = try CommandLine.arguments.dropFirst().first ?? trainedCheckpoint()
let model = try ModelFile.load(path: path, execution: Execution())
let data = try DataSource("digits").load(.test, root: DataRoot()).subset(0..<4)
var job = try EvaluationJob(model: model, data: data, autoAttack: ThreatModel(norm: .linf, epsilon: 0.1))
job.batchSize = 4
let result = try job.run { progress in
  if progress.done == progress.total { print("\(progress.phase): \(progress.correct) of \(data.count) still correct") }
}
print("clean accuracy \(result.document.clean.accuracy), robust accuracy \(result.document.robust?.accuracy ?? .nan)")

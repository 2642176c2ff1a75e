internal import Foundation
internal import SwiftTorch

/// The stage of a reproduction.
public enum ReproductionStage: String, Sendable {
  /// These two stages stop by themselves on request, and keep the finished work.
  case train, evaluate
  case measure
}

/// The receiver of a reproduction's progress.
public protocol ReproductionObserver: AnyObject {
  /// Reports the finished fraction of a stage over all runs, and the current activity.
  func progressed(_ stage: ReproductionStage, to fraction: Double, _ detail: String)
  /// Reports that a run is trained or measured, now or earlier.
  func report(_ line: String)
  func warn(_ message: String)
}

/// Runs a plan: trains the missing runs, measures, and compares with the paper's numbers. It uses all finished work in the folders.
public final class Reproducer {
  let plan: ReproductionPlan
  let dataRoot: DataRoot
  let observer: any ReproductionObserver
  let shouldStop: () -> Bool
  private var workDone = 0.0
  private let work: Double

  public init(
    _ plan: ReproductionPlan, dataRoot: DataRoot, observer: any ReproductionObserver, shouldStop: @escaping () -> Bool = { false }
  ) {
    self.plan = plan
    self.dataRoot = dataRoot
    self.observer = observer
    self.shouldStop = shouldStop
    work = plan.runs.reduce(0) { $0 + Self.work(left: $1) }
  }

  private static func work(left run: ReproductionPlan.Run) -> Double {
    run.work * Double(max(0, run.configuration.epochs - run.epochsDone)) / Double(run.configuration.epochs)
  }

  /// Trains, measures, and writes and returns the result; nil after a request to stop, which keeps the finished work.
  public func run() throws -> ReproductionResult? {
    if plan.item.measurement != .schedule, let missing = plan.missingData(root: dataRoot).first { throw SATError(missing) }
    if plan.item.measurement != .schedule { for run in plan.runs { guard try train(run) else { return nil } } }
    let figures: [ReproductionResult.Figure]
    do { figures = try measurements() } catch is JobStopped { return nil }
    if shouldStop() { return nil }
    let result = ReproductionResult(plan, figures: figures)
    try OutputFolder.create(plan.folder)
    try result.write(to: "\(plan.folder)/result.json")
    try AtomicFile.write(result.csv, to: "\(plan.folder)/result.csv")
    return result
  }

  private func measurements() throws -> [ReproductionResult.Figure] {
    switch plan.item.measurement {
    case .accuracy: try accuracies(savingImages: false)
    case .perturbation: try perturbations()
    case .smoothness: try smoothness()
    case .spectrum: try spectra()
    case .landscape: try landscapes()
    case .images: try accuracies(savingImages: true)
    case .schedule: schedules()
    }
  }

  private func train(_ run: ReproductionPlan.Run) throws -> Bool {
    if run.folder.exists {
      var saved = try ConfigurationFile.read(run.folder.configurationPath)
      saved.execution = run.configuration.execution
      guard saved == run.configuration else {
        throw SATError(
          "\(run.folder.path) holds a run of another configuration; expected this plan's configuration, so delete the folder or "
            + "choose another with --out")
      }
    }
    if run.epochsDone >= run.configuration.epochs {
      observer.report("\(run.name): trained already, \(run.folder.path)")
      return true
    }
    if shouldStop() { return false }
    try prepareData(run)
    try OutputFolder.create(run.folder.path)
    let trainer = try Trainer(run.configuration, dataRoot: dataRoot, folder: run.folder, resume: run.folder.exists)
    let share = Self.work(left: run)
    let (done, work) = (workDone, work)
    let listener = TrainingListener(run, observer) { (done + share * $0) / max(work, 1) }
    guard try trainer.run(observer: listener, shouldStop: shouldStop) == .finished else { return false }
    workDone += share
    let best = trainer.bestValidation.map {
      "best on validation after epoch \($0.epoch + 1): robust \(percent($0.validation.robust))"
    }
    observer.report("\(run.name): trained, \(best ?? "not validated"), \(run.folder.path)")
    return true
  }

  /// Writes the run's subset of the training images, once for all runs.
  private func prepareData(_ run: ReproductionPlan.Run) throws {
    guard let count = run.limits.trainingImages, !FileManager.default.fileExists(atPath: run.configuration.data) else { return }
    let all = try DataSource(run.data).loadForTraining(root: dataRoot).train
    let part = try all.batch(at: Self.positions(count, of: all, classes: count / ReproductionScale.imagesPerClass))
    try OutputFolder.create(URL(fileURLWithPath: run.configuration.data).deletingLastPathComponent().path)
    try SafeTensors(tensors: [("images", part.images), ("labels", part.labels)]).write(to: run.configuration.data)
  }

  /// Returns evenly spread positions of images of the first classes, or all of these if there are not more.
  static func positions(_ count: Int?, of data: ImageDataset, classes: Int) -> Tensor {
    let candidates = data.labels.array(of: Int.self).enumerated().filter { $0.element < classes }.map(\.offset)
    guard let count, count < candidates.count else { return Tensor(candidates) }
    return Tensor((0..<count).map { candidates[$0 * candidates.count / count] })
  }

  private func schedules() -> [ReproductionResult.Figure] {
    plan.runs.flatMap { run in
      PaperFigures.all.filter { $0.item == plan.item.name && $0.setting == run.setting && $0.method == run.method }.map { figure in
        let epoch = Int(figure.quantity.split(separator: " ").last ?? "") ?? 0
        return self.figure(run, figure.quantity, run.configuration.lambda.value(at: epoch))
      }
    }
  }
}

/// Passes a run's progress to the reproduction's observer.
private final class TrainingListener: TrainingObserver {
  private let run: ReproductionPlan.Run
  private let first: Int
  private let observer: any ReproductionObserver
  private let overall: (Double) -> Double

  /// Makes a listener for one run; `overall` returns the finished fraction of all work for a fraction of this run's rest.
  init(_ run: ReproductionPlan.Run, _ observer: any ReproductionObserver, overall: @escaping (Double) -> Double) {
    self.run = run
    first = run.epochsDone
    self.observer = observer
    self.overall = overall
  }

  func batchDone(epoch: Int, batch: Int, batches: Int, loss: Double) {
    let epochs = run.configuration.epochs
    let done = (Double(epoch - first) + Double(batch + 1) / Double(batches)) / Double(max(epochs - first, 1))
    observer.progressed(.train, to: overall(done), "\(run.name), epoch \(epoch + 1)/\(epochs), loss \(decimal(loss, 3))")
  }

  func validating(epoch: Int) {}
  func epochDone(_ metrics: EpochMetrics, isBest: Bool) {}
  func warn(_ message: String) { observer.warn("\(run.name): \(message)") }
}

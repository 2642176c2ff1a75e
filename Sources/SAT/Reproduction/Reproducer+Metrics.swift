internal import Foundation
internal import SwiftTorch

/// What is read from the metrics that training wrote.
extension Reproducer {
  private func epochs(of run: ReproductionPlan.Run) throws -> [EpochMetrics] { try EpochMetrics.read(from: run.folder.metricsPath) }

  /// At most eleven epochs, evenly spread; the run folders have all.
  func perturbations() throws -> [ReproductionResult.Figure] {
    try plan.runs.flatMap { run in
      let epochs = try epochs(of: run)
      let count = min(11, epochs.count)
      return (0..<count).map { i in
        let epoch = epochs[count == 1 ? 0 : i * (epochs.count - 1) / (count - 1)]
        return ReproductionResult.Figure(
          setting: run.setting, method: run.method, quantity: "mean norm in epoch \(epoch.epoch)", value: epoch.perturbation.mean)
      }
    }
  }

  /// Means over the epochs from the first drop of the learning rate on, of which the paper says that the order of the methods holds.
  func smoothness() throws -> [ReproductionResult.Figure] {
    let measured = try plan.runs.map { run in
      let first = run.configuration.learningRateSchedule.milestones.first ?? 0
      let all = try epochs(of: run)
      let late = all.filter { $0.epoch >= first && $0.smoothness != nil }
      return (run: run, values: (late.isEmpty ? all : late).compactMap(\.smoothness))
    }
    return plan.item.settings.flatMap { setting in
      let runs = measured.filter { $0.run.setting == setting }
      let quantities = [("largest eigenvalue", \Smoothness.eigenvalue), ("trace", \.trace), ("gradient norm", \.gradientNorm)]
      return quantities.flatMap { name, path in
        let means = runs.map { run in
          let values = run.values.map { $0[keyPath: path] }
          // The random vectors are the same in every epoch, so the mean's error is no smaller than an epoch's.
          let errors = path == \.trace ? run.values.map(\.traceError) : []
          let error = errors.isEmpty ? nil : errors.reduce(0, +) / Double(errors.count)
          return (run.run.method, values.reduce(0, +) / Double(values.count), error)
        }
        return ReproductionResult.Figure.ranked(item: plan.item.name, setting: setting, quantity: name, means)
      }
    }
  }
}

internal import Foundation
internal import SwiftTorch

extension Reproducer {
  private func epochs(of run: ReproductionPlan.Run) throws -> [EpochMetrics] { try EpochMetrics.read(from: run.folder.metricsPath) }

  /// Returns the mean norms of at most eleven epochs, evenly spread. The run folders have all epochs.
  func perturbations() throws -> [ReproductionResult.Figure] {
    try plan.runs.flatMap { run in
      let epochs = try epochs(of: run)
      let count = min(11, epochs.count)
      return (0..<count).map { i in
        let epoch = epochs[count == 1 ? 0 : i * (epochs.count - 1) / (count - 1)]
        return figure(run, "mean norm in epoch \(epoch.epoch + 1)", epoch.perturbation.mean)
      }
    }
  }

  /// Returns means over the epochs from the first drop of the learning rate on, for which the paper states an order of the methods.
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
          // Every epoch uses the same random vectors, so the mean's error is not smaller than an epoch's error.
          let errors = path == \.trace ? run.values.map(\.traceError) : []
          let error = errors.isEmpty ? nil : errors.reduce(0, +) / Double(errors.count)
          return (run.run.method, values.reduce(0, +) / Double(values.count), error)
        }
        return ReproductionResult.Figure.ranked(item: plan.item.name, setting: setting, quantity: name, means)
      }
    }
  }
}

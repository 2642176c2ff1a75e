internal import Foundation

/// The training runs below a folder, as `sat runs` lists them.
public struct RunListing: Codable, Sendable, Equatable {
  /// The state of a run.
  public enum State: String, Codable, Sendable {
    /// A process trains in the folder now.
    case running
    /// Training ended before its last epoch; `sat train --resume` continues it.
    case interrupted
    /// Every epoch is done.
    case finished
    /// The method ended the training early, such as fast-at after catastrophic overfitting.
    case stopped
    /// The run's files cannot be read; `problem` says why.
    case damaged
  }

  /// A run with its settings and best results; a part is nil if the folder does not state it.
  public struct Run: Codable, Sendable, Equatable {
    public var path: String
    public var state: State
    public var method: String?
    public var data: String?
    public var model: String?
    public var epochs: Int?
    public var epochsDone: Int?
    /// The fractions of validation images that the best checkpoint classifies correctly, clean and under attack.
    public var clean: Double?
    public var robust: Double?
    /// The end of the last epoch, in seconds since 1970.
    public var time: Double?
    public var problem: String?
  }

  /// The columns by which runs can be ordered.
  public enum Order: String, Sendable, CaseIterable { case path, method, data, epochs, clean, robust, time, state }

  public private(set) var format = "sat-runs/1"
  public private(set) var runs: [Run]

  /// Finds the runs in a folder and its subfolders; a run's own subfolders hold none. Numbers order from large to small.
  ///
  /// - Throws: `SATError` if the folder does not exist.
  public init(folder: String, orderedBy order: Order = .path) throws(SATError) {
    guard FileManager.default.isFolder(folder) else {
      throw SATError("\(folder) is no folder; name a folder of runs, such as the parent of sat train's --run")
    }
    runs = Self.paths(under: folder, depth: 4).sorted().map(Self.run(at:))
    switch order {
    case .path: break
    case .method: runs.sort { ($0.method ?? "") < ($1.method ?? "") }
    case .data: runs.sort { ($0.data ?? "") < ($1.data ?? "") }
    case .state: runs.sort { $0.state.rawValue < $1.state.rawValue }
    case .epochs: runs.sort { $0.epochsDone ?? -1 > $1.epochsDone ?? -1 }
    case .clean: runs.sort { $0.clean ?? -1 > $1.clean ?? -1 }
    case .robust: runs.sort { $0.robust ?? -1 > $1.robust ?? -1 }
    case .time: runs.sort { $0.time ?? -1 > $1.time ?? -1 }
    }
  }

  private static func paths(under folder: String, depth: Int) -> [String] {
    if RunFolder(folder).exists { return [folder] }
    guard depth > 0 else { return [] }
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return entries.filter { !$0.hasPrefix(".") }.flatMap { entry -> [String] in
      let path = "\(folder)/\(entry)"
      return FileManager.default.isFolder(path) ? paths(under: path, depth: depth - 1) : []
    }
  }

  private static func run(at path: String) -> Run {
    let folder = RunFolder(path)
    var run = Run(path: path, state: PathLock.isHeld(folder: path) ? .running : .interrupted)
    do {
      let configuration = try ConfigurationFile.read(folder.configurationPath)
      run.method = configuration.method
      run.data = configuration.data
      run.model = configuration.model.name
      run.epochs = configuration.epochs
      run.epochsDone = 0
      guard folder.has(.last) else { return run }
      let state = try TrainingState.read(fromCheckpoint: folder.folder(of: .last))
      run.epochsDone = state.history.count
      run.time = state.history.last?.time
      run.clean = state.best?.validation.clean
      run.robust = state.best?.validation.robust
      if run.state == .interrupted {
        let isComplete = state.history.count >= configuration.epochs
        run.state = state.stopped != nil ? .stopped : isComplete ? .finished : .interrupted
      }
    } catch {
      run.state = .damaged
      run.problem = "\(error)"
    }
    return run
  }

  /// The table for the terminal.
  public var table: TextTable {
    let rows = runs.map { run in
      [
        run.path, run.method ?? "", run.data ?? "", run.model ?? "", run.state.rawValue,
        run.epochs.map { "\(run.epochsDone ?? 0)/\($0)" } ?? "", run.clean.map { percent($0, 1) } ?? "",
        run.robust.map { percent($0, 1) } ?? "",
      ]
    }
    return TextTable([["run", "method", "data", "model", "state", "epochs", "clean", "robust"]] + rows, leftColumns: 5)
  }
}

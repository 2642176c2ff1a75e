internal import Foundation

/// The part of a data set's images that is on this machine. Every command uses this answer.
public enum PartState: Sendable, Equatable {
  case whole
  /// The part can be used with the images that are there, such as "1 of 5 training files".
  case incomplete(String)
  /// The part cannot be used, for this reason.
  case missing(String)

  public var isUsable: Bool { if case .missing = self { false } else { true } }
}

/// The parts of a data set that are on this machine.
public struct DataAvailability: Sendable, Equatable {
  public let training: PartState
  public let test: PartState

  public var isWhole: Bool { training == .whole && test == .whole }

  /// True if a part can be used.
  public var isUsable: Bool { training.isUsable || test.isUsable }

  /// Describes the parts in words, such as "training images: 1 of 5 files; test images: all".
  public var summary: String {
    func words(_ state: PartState) -> String {
      switch state {
      case .whole: "all"
      case .incomplete(let found): found
      case .missing: "none"
      }
    }
    return "training images: \(words(training)); test images: \(words(test))"
  }

  /// Looks for the data that `--data` names, by the names of the files; it does not read the images.
  public init(of source: DataSource, root: DataRoot) {
    do {
      let parts = try source.parts(root)
      training = parts.state(of: .train)
      test = parts.state(of: .test)
    } catch {
      training = .missing("\(error)")
      test = training
    }
  }
}

extension ImageParts {
  /// Returns the state of the training or the test images, from the number of files found and expected.
  fileprivate func state(of split: DataSource.Split, found: Int, expected: Int, _ unit: String) -> PartState {
    if found >= expected { return .whole }
    if found > 0 { return .incomplete("\(found) of \(expected) \(unit)") }
    // The reader stops at the first missing file, and its error says how to get it.
    do { _ = try load(split) } catch { return .missing("\(error)") }
    return .whole
  }
}

extension IDXFolder {
  func state(of split: DataSource.Split) -> PartState {
    state(of: split, found: hasFiles(of: split) ? 1 : 0, expected: 1, "pairs of files")
  }
}

extension CIFAR {
  func state(of split: DataSource.Split) -> PartState {
    let files = files(of: split)
    return state(of: split, found: files.found.count, expected: files.expected.count, "files")
  }
}

extension PictureSplits {
  func state(of split: DataSource.Split) -> PartState {
    let files = FileManager.default
    let names = split == .test ? Self.testFolders : ["train"]
    guard let part = names.first(where: { files.fileExists(atPath: "\(folder)/\($0)") }) else {
      return state(of: split, found: 0, expected: 1, "folders")
    }
    let whole = DatasetCatalog.datasets.first { $0.name == name }?.pictures["\(name)/\(part)"] ?? 0
    return state(of: split, found: files.fileCount(inFoldersOf: "\(folder)/\(part)"), expected: whole, "pictures")
  }
}

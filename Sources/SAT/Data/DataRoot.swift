internal import Foundation

/// The folder that holds the data sets, one sub-folder each.
public struct DataRoot: Sendable, Equatable {
  public let path: String

  /// - Parameter option: the value of `--data-root`. Without it the variable `SAT_DATA` counts, else `data` in the working
  ///   folder.
  public init(option: String? = nil, environment: [String: String]? = nil) {
    let variables = environment ?? ProcessInfo.processInfo.environment
    let named = [option, variables["SAT_DATA"]].lazy.compactMap { $0 }.first { !$0.isEmpty }
    path = NSString(string: named ?? "data").expandingTildeInPath
  }

  /// The path of something under the root, e.g. `mnist/train-images-idx3-ubyte.gz`.
  public func appending(_ relativePath: String) -> String {
    path.hasSuffix("/") ? path + relativePath : "\(path)/\(relativePath)"
  }
}

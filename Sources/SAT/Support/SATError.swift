internal import Foundation
internal import Glibc
internal import SwiftTorch

/// A failure that a user can fix: one sentence with the thing, the expectation and the remedy.
public struct SATError: Error, Sendable, Equatable, CustomStringConvertible {
  public var message: String

  public init(_ message: String) { self.message = message }

  public var description: String { message }
}

/// The system's words for a failure, such as "No space left on device", because Foundation's words are vaguer.
public enum SystemError {
  static func reason(_ code: Int32) -> String { systemMessage(code) }

  public static func reason(_ error: any Error) -> String {
    if let code = code(error) { return reason(code) }
    let wrapped = error as NSError
    return wrapped.code == CocoaError.fileWriteOutOfSpace.rawValue ? reason(ENOSPC) : wrapped.localizedDescription
  }

  /// Returns the system's number of a failure, such as ENOSPC; nil when Foundation does not keep it.
  public static func code(_ error: any Error) -> Int32? {
    if let error = error as? POSIXError { return error.code.rawValue }
    let wrapped = error as NSError
    if wrapped.domain == NSPOSIXErrorDomain { return Int32(wrapped.code) }
    return (wrapped.userInfo[NSUnderlyingErrorKey] as? any Error).flatMap(code)
  }
}

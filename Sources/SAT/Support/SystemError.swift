internal import Foundation
internal import Glibc
internal import SwiftTorch

/// The system's own words for a failure, e.g. "No space left on device"; Foundation's are vaguer.
public enum SystemError {
  static func reason(_ code: Int32) -> String { systemMessage(code) }

  public static func reason(_ error: any Error) -> String {
    if let code = code(error) { return reason(code) }
    let wrapped = error as NSError
    return wrapped.code == CocoaError.fileWriteOutOfSpace.rawValue ? reason(ENOSPC) : wrapped.localizedDescription
  }

  /// The system's number of the failure, such as ENOSPC, where Foundation passes it on.
  public static func code(_ error: any Error) -> Int32? {
    if let error = error as? POSIXError { return error.code.rawValue }
    let wrapped = error as NSError
    if wrapped.domain == NSPOSIXErrorDomain { return Int32(wrapped.code) }
    return (wrapped.userInfo[NSUnderlyingErrorKey] as? any Error).flatMap(code)
  }
}

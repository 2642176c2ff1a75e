internal import Foundation
internal import Glibc

/// The system's own words for a failure, e.g. "No space left on device"; Foundation's are vaguer.
enum SystemError {
  static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

  static func reason(_ error: any Error) -> String {
    if let error = error as? POSIXError { return reason(error.code.rawValue) }
    let wrapped = error as NSError
    if wrapped.domain == NSPOSIXErrorDomain { return reason(Int32(wrapped.code)) }
    if let underlying = wrapped.userInfo[NSUnderlyingErrorKey] as? any Error { return reason(underlying) }
    return wrapped.code == CocoaError.fileWriteOutOfSpace.rawValue ? reason(ENOSPC) : wrapped.localizedDescription
  }
}

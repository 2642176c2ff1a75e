/// The kind of a file, by its contents (`FileContents`) and never by its extension.
public enum FileKind: Sendable, Equatable, CustomStringConvertible {
  /// Named tensors with a JSON header.
  case safetensors
  /// A program with its parameters, saved by `torch.jit.save`.
  case torchScript
  /// A checkpoint of `torch.save` from PyTorch 1.6 or later.
  case pytorchZip
  /// A checkpoint of `torch.save` in the older format, a sequence of pickles.
  case pytorchLegacy
  /// One NumPy array.
  case npy
  /// Several NumPy arrays in a zip archive.
  case npz
  /// The format of MNIST's files.
  case idx
  /// Any data compressed by gzip.
  case gzip
  /// A zip archive with other contents.
  case zip
  case unknown

  public var description: String {
    switch self {
    case .safetensors: "a safetensors file"
    case .torchScript: "a TorchScript archive"
    case .pytorchZip: "a PyTorch checkpoint"
    case .pytorchLegacy: "a PyTorch checkpoint in the legacy format"
    case .npy: "a NumPy array"
    case .npz: "a NumPy archive"
    case .idx: "an IDX file"
    case .gzip: "a gzip file"
    case .zip: "a zip archive with other contents, or one that is cut off"
    case .unknown: "a file of unknown kind"
    }
  }

  /// The bytes at a file's start that tell its kind: the header of a zip archive's first entry, with the longest name.
  static let neededBytes = 30 + 0xFFFF

  /// Returns the kind of a file that is not a zip archive, by its first bytes.
  static func ofOther(_ bytes: [UInt8]) -> FileKind {
    if isGzip(bytes) { return .gzip }
    if bytes.starts(with: [0x93] + Array("NUMPY".utf8)) { return .npy }
    if isLegacyCheckpoint(bytes) { return .pytorchLegacy }
    var cursor = ByteCursor(bytes, subject: "the header")
    if let length = try? cursor.number(8), 2...UInt64(SafeTensorsHeader.maximumLength) ~= length, bytes.count > 8,
      bytes[8] == UInt8(ascii: "{")
    {
      return .safetensors
    }
    if bytes.count >= 4, bytes[0] == 0, bytes[1] == 0, [0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E].contains(bytes[2]), 1...8 ~= bytes[3] {
      return .idx
    }
    return .unknown
  }

  /// Returns true if `bytes` begin as a gzip file does.
  package static func isGzip(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x1F, 0x8B]) }

  /// Returns true if `bytes` begin as a zip archive does.
  static func beginsAsZip(_ bytes: [UInt8]) -> Bool {
    bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) || bytes.starts(with: [0x50, 0x4B, 0x05, 0x06])
  }

  /// Returns the kind of a zip archive by the names of its entries.
  ///
  /// - Parameter bytes: the first bytes of the file.
  /// - Parameter archive: the archive, or nil if its directory is missing or damaged.
  static func ofZip(_ bytes: [UInt8], archive: ZipArchive?) -> FileKind {
    let names: [String]
    if let archive {
      names = archive.entries.map(\.name)
    } else {
      // An archive that is cut off has no directory, but its first entry shows the kind. `torch.save` begins with the pickle, and
      // `torch.jit.save` with the tensors.
      var cursor = ByteCursor(bytes, from: min(26, bytes.count), subject: "the first entry")
      guard let length = try? cursor.size(2), (try? cursor.size(2)) != nil, let range = try? cursor.take(length) else {
        return .zip
      }
      names = [String(decoding: bytes[range], as: UTF8.self)]
      if names[0].hasSuffix("/data/0") { return .torchScript }
    }
    if names.contains(where: { $0.hasSuffix("/constants.pkl") || $0.contains("/code/") }) { return .torchScript }
    if names.contains(where: { $0 == "data.pkl" || $0.hasSuffix("/data.pkl") }) { return .pytorchZip }
    if !names.isEmpty, names.allSatisfy({ $0.hasSuffix(".npy") }) { return .npz }
    return .zip
  }

  /// Returns true if the first pickle is the legacy format's magic number, in any pickle protocol.
  private static func isLegacyCheckpoint(_ bytes: [UInt8]) -> Bool {
    guard let first = bytes.first, first == 0x80 || first == UInt8(ascii: "L") else { return false }
    var machine = Unpickler(bytes, to: min(bytes.count, 64))
    guard let value = try? machine.run(), case .long(PyTorchCheckpoint.legacyMagic) = value else { return false }
    return true
  }
}

internal import Foundation
internal import SwiftTorch

/// The binary CIFAR files: records of one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes of red, green and blue planes.
struct CIFAR {
  /// "cifar10" or "cifar100".
  let name: String
  let folder: String

  private var labelBytes: Int { name == "cifar10" ? 1 : 2 }
  private var recordBytes: Int { labelBytes + 3 * 32 * 32 }
  private static let validationCount = 5000
  /// CIFAR-100's training file, the largest; nothing longer is unpacked.
  private static let largestBatch = 50_000 * 3074

  /// Validation is the first 5,000 training images in file order, train the rest, as in the paper's code.
  func load(_ split: DataSource.Split) throws -> ImageDataset {
    switch split {
    case .test: return try read(name == "cifar10" ? ["test_batch.bin"] : ["test.bin"], split: "test")
    case .validation: return try trainingSet().subset(0..<Self.validationCount)
    case .train:
      let whole = try trainingSet()
      guard whole.count > Self.validationCount else {
        throw SATError("\(name): only \(whole.count) training images are in \(folder); expected more than the \(Self.validationCount) of validation")
      }
      return try whole.subset(Self.validationCount..<whole.count)
    }
  }

  private func trainingSet() throws -> ImageDataset {
    try read(name == "cifar10" ? (1...5).map { "data_batch_\($0).bin" } : ["train.bin"], split: "train")
  }

  private func read(_ files: [String], split: String) throws -> ImageDataset {
    var images: [Tensor] = []
    var labels: [Int] = []
    for file in files {
      let (bytes, path) = try contents(of: file)
      guard !bytes.isEmpty, bytes.count % recordBytes == 0 else {
        throw SATError("\(path) has \(bytes.count) bytes; expected a multiple of the \(recordBytes) bytes of a \(name) record")
      }
      let records = Tensor(bytes: bytes[...], shape: [bytes.count / recordBytes, recordBytes], dtype: .uint8)
      images.append(records[.all, labelBytes...].reshaped(to: -1, 3, 32, 32))
      labels += records[.all, labelBytes - 1].to(.int64).array(of: Int.self)
    }
    let classes = name == "cifar10" ? 10 : 100
    if let wrong = labels.first(where: { $0 >= classes }) {
      throw SATError("\(folder): a record of \(name) has label \(wrong); expected 0 to \(classes - 1), so the file is not \(name)'s")
    }
    return try ImageDataset(name: name, split: split, images: .concatenated(images), labels: Tensor(labels))
  }

  private func contents(of file: String) throws -> (bytes: [UInt8], path: String) {
    let plain = "\(folder)/\(file)"
    if FileManager.default.fileExists(atPath: plain) { return (try FileBytes.read(plain, expecting: "a \(name) batch"), plain) }
    let packed = plain + ".gz"
    guard FileManager.default.fileExists(atPath: packed) else {
      throw SATError("\(name): \(plain)[.gz] is not there; put the binary version of \(name) into \(folder), or set --data-root")
    }
    let compressed = try FileBytes.read(packed, expecting: "a \(name) batch")
    return (try naming(packed) { () throws(FormatError) in try Inflate.gzip(compressed, limit: Self.largestBatch) }, packed)
  }
}

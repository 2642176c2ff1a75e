internal import SwiftTorch

/// A reader of PBM, PGM and PPM pictures, plain and binary.
///
/// Source: the manual pages pbm(5), pgm(5) and ppm(5) of netpbm.
struct NetPBM {
  private let bytes: [UInt8]
  private var position = 2

  /// True if the bytes begin as one of these files does: P1 to P6 and white space or a comment.
  static func begins(_ bytes: [UInt8]) -> Bool {
    bytes.count > 2 && bytes[0] == UInt8(ascii: "P") && (UInt8(ascii: "1")...UInt8(ascii: "6")).contains(bytes[1])
      && (isSpace(bytes[2]) || bytes[2] == UInt8(ascii: "#"))
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

  /// Reads the header, and the pixels if `onlySize` is false.
  static func decode(_ bytes: [UInt8], limit: Int, onlySize: Bool) throws(FormatError) -> RGBPicture {
    var reader = NetPBM(bytes: bytes)
    let kind = bytes[1] - UInt8(ascii: "0")
    let (isBits, isPlain, channels) = (kind == 1 || kind == 4, kind <= 3, kind == 3 || kind == 6 ? 3 : 1)
    let width = try reader.number("width")
    let height = try reader.number("height")
    let largest = isBits ? 1 : try reader.number("largest value")
    guard 1...65535 ~= largest else { throw FormatError("its largest value is \(largest), not 1 to 65535") }
    var picture = try RGBPicture(width: width, height: height, limit: limit)
    if onlySize { return picture }
    // Plain files separate the numbers by white space; binary files have one white space before the first row.
    if !isPlain { reader.position += 1 }
    let perRow = width * channels
    let sampleSize = largest > 255 ? 2 : 1
    let size = isBits ? (width + 7) / 8 : perRow * sampleSize
    // A plain number takes at least one character.
    guard isPlain ? bytes.count - reader.position >= perRow * height : size * height <= bytes.count - reader.position else {
      throw FormatError("it is cut off")
    }
    picture.allocate()
    let levels = RGBPicture.levels(upTo: largest)
    for row in 0..<height {
      let start = reader.position + row * size
      for column in 0..<perRow {
        let value: Int
        switch kind {
        case 1: value = try reader.bit()
        case 2, 3: value = try reader.number("pixel")
        case 4: value = Int(bytes[start + column / 8] >> UInt8(7 - column % 8)) & 1
        default:
          let place = start + column * sampleSize
          value = largest > 255 ? Int(bytes[place]) << 8 | Int(bytes[place + 1]) : Int(bytes[place])
        }
        guard value <= largest else { throw FormatError("a pixel is \(value), above its largest value \(largest)") }
        // In a bitmap 1 is black.
        let level = levels[isBits ? 1 - value : value]
        if channels == 3 {
          picture.pixels[row * perRow + column] = level
        } else {
          picture.set(row, column, level, level, level)
        }
      }
    }
    return picture
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  /// Steps over white space, and over comments from # to the end of the line.
  private mutating func skipSpace() {
    while position < bytes.count {
      if bytes[position] == UInt8(ascii: "#") {
        while position < bytes.count, bytes[position] != 0x0A, bytes[position] != 0x0D { position += 1 }
      } else if Self.isSpace(bytes[position]) {
        position += 1
      } else {
        return
      }
    }
  }

  private mutating func number(_ name: String) throws(FormatError) -> Int {
    skipSpace()
    var (value, digits) = (0, 0)
    while position < bytes.count, 0x30...0x39 ~= bytes[position], digits < 10 {
      value = 10 * value + Int(bytes[position] - 0x30)
      position += 1
      digits += 1
    }
    guard digits > 0, digits < 10 else {
      throw FormatError(position == bytes.count ? "it is cut off" : "its \(name) is not a number of at most 9 digits")
    }
    return value
  }

  /// Reads a pixel of a plain bitmap; white space between two pixels may be absent.
  private mutating func bit() throws(FormatError) -> Int {
    skipSpace()
    guard position < bytes.count, 0x30...0x31 ~= bytes[position] else { throw FormatError("a pixel is neither 0 nor 1") }
    position += 1
    return Int(bytes[position - 1] - 0x30)
  }
}

internal import SwiftTorch

/// A reader of Windows' bitmaps: 1, 4, 8, 16, 24 and 32 bits per pixel, and the run-length codes of 4 and 8 bits.
///
/// Source: the structures BITMAPFILEHEADER and BITMAPINFOHEADER of the Windows API, and the older BITMAPCOREHEADER of OS/2.
struct BMP {
  private enum Coding: Int { case plain = 0, runs8 = 1, runs4 = 2, masks = 3 }

  private let bytes: [UInt8]
  private let pixelStart: Int
  private let bits: Int
  private let isFromTop: Bool
  private let coding: Coding
  private let palette: [(red: UInt8, green: UInt8, blue: UInt8)]
  private let masks: [Int]

  static func begins(_ bytes: [UInt8]) -> Bool { bytes.count > 18 && bytes.starts(with: Array("BM".utf8)) }

  /// Reads the header, and the pixels if `onlySize` is false.
  static func decode(_ bytes: [UInt8], limit: Int, onlySize: Bool) throws(FormatError) -> RGBPicture {
    func number(_ place: Int, _ width: Int) throws(FormatError) -> Int {
      guard place + width <= bytes.count else { throw FormatError("it is cut off") }
      return bytes[place..<place + width].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    let headerSize = try number(14, 4)
    let isCore = headerSize == 12
    guard isCore || 40...1024 ~= headerSize else { throw FormatError("its header has \(headerSize) bytes") }
    let width = try isCore ? number(18, 2) : number(18, 4)
    let signedHeight = try isCore ? number(20, 2) : Int(Int32(truncatingIfNeeded: number(22, 4)))
    let bits = try isCore ? number(24, 2) : number(28, 2)
    let coding = try isCore ? .plain : Coding(rawValue: number(30, 4))
    guard let coding, [1, 4, 8, 16, 24, 32].contains(bits), coding != .runs8 || bits == 8, coding != .runs4 || bits == 4,
      coding != .masks || bits == 16 || bits == 32
    else { throw FormatError("it has an unknown coding of \(bits) bits") }
    var picture = try RGBPicture(width: width, height: abs(signedHeight), limit: limit)
    if onlySize { return picture }

    var masks = bits == 16 ? [0x7C00, 0x03E0, 0x001F] : [0xFF0000, 0x00FF00, 0x0000FF]
    if coding == .masks { for i in 0..<3 { masks[i] = try number(54 + 4 * i, 4) } }
    var palette: [(UInt8, UInt8, UInt8)] = []
    if bits <= 8 {
      let declared = isCore ? 0 : try number(46, 4)
      let count = 1...1 << bits ~= declared ? declared : 1 << bits
      let (start, step) = (14 + headerSize, isCore ? 3 : 4)
      guard start + count * step <= bytes.count else { throw FormatError("it is cut off") }
      palette = (0..<count).map { (bytes[start + step * $0 + 2], bytes[start + step * $0 + 1], bytes[start + step * $0]) }
    }
    let reader = BMP(
      bytes: bytes, pixelStart: try number(10, 4), bits: bits, isFromTop: signedHeight < 0, coding: coding, palette: palette,
      masks: masks)
    switch coding {
    case .plain, .masks: try reader.readRows(&picture)
    case .runs4, .runs8: try reader.readRuns(&picture)
    }
    return picture
  }

  private func colour(_ index: Int) throws(FormatError) -> (red: UInt8, green: UInt8, blue: UInt8) {
    guard index < palette.count else { throw FormatError("a pixel has colour \(index) of \(palette.count)") }
    return palette[index]
  }

  private func row(_ number: Int, of picture: RGBPicture) -> Int { isFromTop ? number : picture.height - 1 - number }

  /// Reads rows of whole pixels; each row is filled to a multiple of 4 bytes.
  private func readRows(_ picture: inout RGBPicture) throws(FormatError) {
    let stride = (picture.width * bits + 31) / 32 * 4
    guard pixelStart <= bytes.count, stride * picture.height <= bytes.count - pixelStart else {
      throw FormatError("it is cut off")
    }
    picture.allocate()
    let fields = masks.map { Field($0) }
    for number in 0..<picture.height {
      let (start, target) = (pixelStart + number * stride, row(number, of: picture))
      for column in 0..<picture.width {
        switch bits {
        case 24:
          let place = start + 3 * column
          picture.set(target, column, bytes[place + 2], bytes[place + 1], bytes[place])
        case 16, 32:
          let place = start + column * bits / 8
          let value = bytes[place..<place + bits / 8].reversed().reduce(0) { $0 << 8 | Int($1) }
          picture.set(target, column, fields[0].level(value), fields[1].level(value), fields[2].level(value))
        default:
          let place = column * bits
          let index = Int(bytes[start + place / 8] >> UInt8(8 - bits - place % 8)) & (1 << bits - 1)
          let (red, green, blue) = try colour(index)
          picture.set(target, column, red, green, blue)
        }
      }
    }
  }

  /// Reads run-length codes. Pixels that no code sets have colour 0.
  private func readRuns(_ picture: inout RGBPicture) throws(FormatError) {
    var (place, number, column) = (pixelStart, 0, 0)
    func take() throws(FormatError) -> Int {
      guard place < bytes.count else { throw FormatError("it is cut off") }
      place += 1
      return Int(bytes[place - 1])
    }
    // A row takes at least the two bytes of its end.
    guard pixelStart <= bytes.count, picture.height <= bytes.count - pixelStart else { throw FormatError("it is cut off") }
    picture.allocate()
    let (red, green, blue) = try colour(0)
    for y in 0..<picture.height { for x in 0..<picture.width { picture.set(y, x, red, green, blue) } }
    func put(_ index: Int) throws(FormatError) {
      guard number < picture.height, column < picture.width else { return }
      let (red, green, blue) = try colour(index)
      picture.set(row(number, of: picture), column, red, green, blue)
      column += 1
    }
    while number < picture.height {
      let count = try take()
      let value = try take()
      if count > 0 {
        for i in 0..<count { try put(bits == 8 ? value : i.isMultiple(of: 2) ? value >> 4 : value & 15) }
        continue
      }
      switch value {
      case 0: (number, column) = (number + 1, 0)
      case 1: return
      case 2: (column, number) = (column + (try take()), number + (try take()))
      default:
        let start = place
        var byte = 0
        for i in 0..<value {
          if bits == 8 || i.isMultiple(of: 2) { byte = try take() }
          try put(bits == 8 ? byte : i.isMultiple(of: 2) ? byte >> 4 : byte & 15)
        }
        if !(place - start).isMultiple(of: 2) { _ = try take() }
      }
    }
  }

  /// The bits of a colour within a pixel.
  private struct Field {
    private let shift: Int
    private let largest: Int

    init(_ mask: Int) {
      shift = mask == 0 ? 0 : mask.trailingZeroBitCount
      largest = mask >> shift
    }

    func level(_ pixel: Int) -> UInt8 { largest == 0 ? 0 : UInt8((pixel >> shift & largest) * 255 / largest) }
  }
}

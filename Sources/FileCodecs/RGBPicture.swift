internal import SwiftTorch

/// A picture of three bytes per pixel, rows from the top.
struct RGBPicture {
  let width: Int
  let height: Int
  /// Empty until `allocate`, so that a damaged header takes no memory.
  var pixels: [UInt8] = []

  init(width: Int, height: Int, limit: Int) throws(FormatError) {
    guard width > 0, height > 0, width <= limit / height else {
      throw FormatError("it has \(width) x \(height) pixels; at least 1 and at most \(limit) are allowed")
    }
    self.width = width
    self.height = height
  }

  /// Makes the pixels, all black.
  mutating func allocate() { pixels = [UInt8](repeating: 0, count: 3 * width * height) }

  mutating func set(_ row: Int, _ column: Int, _ red: UInt8, _ green: UInt8, _ blue: UInt8) {
    let place = 3 * (row * width + column)
    (pixels[place], pixels[place + 1], pixels[place + 2]) = (red, green, blue)
  }

  /// Returns the byte of each value from 0 to `largest`: the value on the scale of 0 to 255, rounded as Pillow rounds.
  static func levels(upTo largest: Int) -> [UInt8] {
    (0...largest).map { UInt8((Double($0) / Double(largest) * 255).rounded(.toNearestOrEven)) }
  }
}

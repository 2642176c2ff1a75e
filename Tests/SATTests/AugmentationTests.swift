import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests that compare random changes of images with pixel-by-pixel computation and closed forms.
@Suite struct AugmentationTests {
  static func pictures(_ n: Int, _ height: Int = 7, _ width: Int = 9) -> Tensor {
    // The pixels of an image are all different, none is 0, and the channels differ.
    Tensor((0..<n * 3 * height * width).map { UInt8($0 % 189 + 1) }, shape: [n, 3, height, width])
  }

  static func scaled(_ bytes: Tensor) -> Tensor { bytes.to(.float32) / 255.0 }

  @Test func nothingIsTheIdentity() {
    let images = Self.pictures(3)
    let generator = Generator(seed: 0)
    let before = generator.state
    expectIdentical(Augmentation.none(images, generator: generator), Self.scaled(images))
    expectIdentical(generator.state, before, "nothing is drawn")
    let floats = Self.scaled(images)
    expectIdentical(Augmentation.none(floats, generator: generator), floats)
  }

  @Test func aFlipIsAFlip() {
    let images = Self.pictures(64)
    let out = Augmentation(flip: true)(images, generator: Generator(seed: 1))
    let (same, mirrored) = (Self.scaled(images), Self.scaled(images).flipped(dims: [3]))
    var flips = 0
    for i in 0..<64 {
      let isFlipped = out[i].isEqual(to: mirrored[i])
      #expect(isFlipped != out[i].isEqual(to: same[i]))
      flips += isFlipped ? 1 : 0
    }
    // 16 or fewer heads of 64 fair coins have a probability of 4e-5.
    #expect((17...47).contains(flips), "\(flips) of 64 flipped")
  }

  /// Every crop is a window of the zero-padded image, and all windows occur about equally often.
  @Test func cropsAreWindowsOfThePaddedImage() {
    let padding = 2
    let n = 2000
    let image = Self.pictures(1)
    let padded = Self.scaled(image).padded([padding, padding, padding, padding])
    let out = Augmentation(padding: padding)(image.expanded(to: [n, 3, 7, 9]), generator: Generator(seed: 2))
    var counts = [Int](repeating: 0, count: 25)
    var windows: [Tensor] = []
    for dy in 0..<5 { for dx in 0..<5 { windows.append(padded[0, .all, dy..<dy + 7, dx..<dx + 9]) } }
    let distances = Tensor.stacked(windows.map { (out - $0).abs().max(dims: [1, 2, 3]) })
    #expect(distances.min(dims: [0]).max().item() == 0, "a crop that is no window")
    for window in distances.argmin(dim: 0).array(of: Int.self) { counts[window] += 1 }
    // Chi-square with 24 degrees of freedom: 51.2 has a probability of 0.001.
    let chiSquare = counts.reduce(0.0) { $0 + pow(Double($1) - 80, 2) / 80 }
    #expect(chiSquare < 51.2, "chi-square \(chiSquare): \(counts)")
  }

  @Test func aQuarterTurnAndAWholeShiftAreExact() {
    // An angle drawn from -90° to 90° never reaches the end of the range, so the exact case is a shift without a drawn angle.
    let images = Self.pictures(40, 8, 8)
    let shifted = Augmentation(translation: 0.25)(images, generator: Generator(seed: 3))
    let padded = Self.scaled(images).padded([2, 2, 2, 2])
    for i in 0..<40 {
      let isWindow = (0...4).contains { dy in
        (0...4).contains { dx in shifted[i].isEqual(to: padded[i, .all, dy..<dy + 8, dx..<dx + 8]) }
      }
      #expect(isWindow, "a shift by whole pixels")
    }
  }

  /// Compares the affine map with its definition, pixel by pixel and from the same draws.
  @Test func theAffineMapIsItsDefinition() {
    let (n, height, width) = (16, 12, 10)
    let images = Tensor.rand([n, 3, height, width], generator: Generator(seed: 4))
    let augmentation = Augmentation(rotation: 30, translation: 0.2, scaling: 0.3, shear: 20)
    let out = augmentation(images, generator: Generator(seed: 5)).array(of: Float.self)
    let source = images.array(of: Float.self)
    let generator = Generator(seed: 5)
    func draw(_ bound: Double, around middle: Double = 0) -> [Double] {
      Tensor.empty([n]).uniformInPlace(in: middle - bound...middle + bound, generator: generator).array(of: Float.self).map(
        Double.init)
    }
    let (angles, shiftsX, shiftsY) = (draw(30), draw(0.2 * Double(width)), draw(0.2 * Double(height)))
    let (scales, shears) = (draw(0.3, around: 1), draw(20))
    var (differing, outside) = (0, 0)
    for i in 0..<n {
      let (a, s) = (angles[i] * .pi / 180, shears[i] * .pi / 180)
      // A = scale · rotation · shear, inverted by Cramer's rule.
      let (m11, m12) = (scales[i] * cos(a), scales[i] * (-cos(a) * tan(s) - sin(a)))
      let (m21, m22) = (scales[i] * sin(a), scales[i] * (-sin(a) * tan(s) + cos(a)))
      let determinant = m11 * m22 - m12 * m21
      let (cx, cy) = (Double(width - 1) / 2, Double(height - 1) / 2)
      for y in 0..<height {
        for x in 0..<width {
          let (dx, dy) = (
            Double(x) - cx - shiftsX[i].rounded(.toNearestOrEven), Double(y) - cy - shiftsY[i].rounded(.toNearestOrEven)
          )
          let sx = Int(((m22 * dx - m12 * dy) / determinant + cx).rounded(.toNearestOrEven))
          let sy = Int(((m11 * dy - m21 * dx) / determinant + cy).rounded(.toNearestOrEven))
          let isInside = (0..<width).contains(sx) && (0..<height).contains(sy)
          for c in 0..<3 {
            let expected = isInside ? source[((i * 3 + c) * height + sy) * width + sx] : 0
            if out[((i * 3 + c) * height + y) * width + x] != expected { differing += 1 }
          }
          outside += isInside ? 0 : 1
        }
      }
    }
    // A coordinate halfway between two pixels may round to either pixel in single precision.
    #expect(differing <= 6, "\(differing) values differ")
    #expect(outside > 50, "\(outside) pixels come from outside; the test needs some")
  }

  @Test func brightnessIsAFactorPerImage() {
    let images = Tensor.full([500, 3, 4, 4], 0.5)
    let out = Augmentation(brightness: 0.1)(images, generator: Generator(seed: 6))
    let factors = (out[.all, 0, 0, 0] / 0.5).array(of: Float.self)
    #expect(out.isClose(to: out[.all, 0..<1, 0..<1, 0..<1].expanded(to: [500, 3, 4, 4]), relative: 0, absolute: 0))
    #expect(factors.allSatisfy { (0.8999...1.1001).contains($0) })
    let mean = factors.reduce(0, +) / 500
    #expect(abs(mean - 1) < 0.013, "mean \(mean); its standard error is 0.0026")
    #expect(factors.min()! < 0.92 && factors.max()! > 1.08)
    let bright = Augmentation(brightness: 1)(Tensor.full([200, 1, 2, 2], 0.9), generator: Generator(seed: 7))
    #expect(bright.max().item() == 1 && bright.min().item() >= 0, "clamped")
  }

  /// Windows have the requested areas and ratios; the last resort is the middle window.
  @Test func windowsAreAsTorchvisionDrawsThem() {
    let size = (height: 300, width: 400)
    let windows = Augmentation.imagenette.windows(sizes: Array(repeating: size, count: 3000), generator: Generator(seed: 8))
    var (areas, logs): ([Double], [Double]) = ([], [])
    for window in windows {
      #expect(
        window.rows.lowerBound >= 0 && window.rows.upperBound <= 300 && window.columns.lowerBound >= 0
          && window.columns.upperBound <= 400)
      areas.append(Double(window.rows.count * window.columns.count) / 120_000)
      logs.append(log(Double(window.columns.count) / Double(window.rows.count)))
    }
    #expect(areas.min()! > 0.075 && areas.min()! < 0.09 && areas.max()! > 0.9)
    #expect(logs.allSatisfy { abs($0) < log(4.0 / 3) + 0.02 } && logs.min()! < -0.2 && logs.max()! > 0.2)
    // Small areas always fit, so their draw is uniform: as many lie between 0.08 and 0.2 as between 0.2 and 0.32.
    let (low, high) = (areas.count { $0 < 0.2 }, areas.count { (0.2..<0.32).contains($0) })
    #expect(abs(low - high) < 4 * Int(Double(low + high).squareRoot()), "\(low) and \(high)")
    let tops = Set(windows.map { $0.rows.lowerBound })
    #expect(tops.count > 100)
    // A long strip has no window with a third of its area and a ratio of 4/3.
    let strip = Augmentation(resizedCrop: 0.9).windows(sizes: [(10, 1000)], generator: Generator(seed: 9))[0]
    #expect(strip == .init(rows: 0..<10, columns: (1000 - 13) / 2..<(1000 - 13) / 2 + 13))
  }

  @Test func aResizedCropKeepsSizeAndColour() {
    let constant = Tensor.full([3, 3, 20, 20], 77, dtype: .uint8)
    let out = Augmentation.imagenette(constant, generator: Generator(seed: 10))
    #expect(out.shape == [3, 3, 20, 20] && out.isClose(to: .full([3, 3, 20, 20], 77.0 / 255), relative: 1e-6))
    let whole = Augmentation(resizedCrop: 1)(Self.pictures(2, 12, 12), generator: Generator(seed: 11))
    #expect(whole.shape == [2, 3, 12, 12] && whole.dtype == .float32)
  }

  @Test(arguments: Augmentation.named.map(\.name))
  func aSeedGivesTheSame(name: String) throws {
    let augmentation = try Augmentation(named: name)
    let images = Self.pictures(6, 16, 16)
    let runs = [3, 3, 4].map { augmentation(images, generator: Generator(seed: $0)) }
    expectIdentical(runs[0], runs[1])
    #expect(runs[0].isEqual(to: runs[2]) == (name == "none"))
    #expect(runs[0].min().item() >= 0 && runs[0].max().item() <= 1 && runs[0].dtype == .float32)
    // Bytes and equal floats give the same result, except for the two roundings of a resized crop.
    let floats = augmentation(Self.scaled(images), generator: Generator(seed: 3))
    expectClose(floats, runs[0], absolute: name == "imagenette" ? 1 / 255 + 1e-6 : 1e-6, relative: 0)
    #expect(try augmentation.validated() == augmentation)
    let again = try JSONDecoder().decode(Augmentation.self, from: JSONEncoder().encode(augmentation))
    #expect(again == augmentation)
  }

  @Test func whatIsOutOfRangeIsNamed() {
    for (augmentation, word) in [
      (Augmentation(padding: -1), "padding is -1"), (Augmentation(resizedCrop: 2), "resizedCrop"),
      (Augmentation(scaling: 1), "scaling is 1.0"),
      (Augmentation(shear: 90), "shear"), (Augmentation(brightness: -0.5), "brightness"),
      (Augmentation(rotation: .nan), "rotation"),
    ] {
      let error = #expect(throws: SATError.self) { try augmentation.validated() }
      #expect(error?.message.contains(word) == true)
    }
    let error = #expect(throws: SATError.self) { try Augmentation(named: "mixup") }
    #expect(error?.message.contains("none, crop, paper, imagenette") == true)
  }
}

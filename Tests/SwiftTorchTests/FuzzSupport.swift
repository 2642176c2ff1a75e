import Foundation
import Testing

/// The number of damaged files that each reader gets.
let fuzzIterations = 100_000

/// SplitMix64: the same seed gives the same damage on every machine.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Draws a number below `bound`, or returns 0 if `bound` is 0.
  mutating func below(_ bound: Int) -> Int {
    bound <= 0 ? 0 : Int(next() % UInt64(bound))
  }
}

/// Damages valid files as disks, networks and attackers do.
struct Mutator {
  var generator: SeededGenerator
  let seeds: [[UInt8]]

  /// Lengths and offsets at the edges of the integer types. Readers check headers least often for them.
  private static let edges: [UInt64] = [
    0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000,
    0x3FFF_FFFF_FFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF,
  ]

  init(seed: UInt64, seeds: [[UInt8]]) {
    generator = SeededGenerator(seed: seed)
    self.seeds = seeds
  }

  /// Returns one of the seeds with one to four damages, most often one. Each extra damage lets fewer files pass the first checks.
  mutating func next() -> [UInt8] {
    var bytes = seeds[generator.below(seeds.count)]
    for _ in 0...(generator.below(2) == 0 ? 0 : generator.below(4)) { damage(&bytes) }
    return bytes
  }

  mutating func damage(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return bytes.append(UInt8(truncatingIfNeeded: generator.next())) }
    let position = generator.below(bytes.count)
    switch generator.below(10) {
    case 0, 1: bytes[position] ^= 1 << UInt8(generator.below(8))
    case 2: bytes[position] = UInt8(truncatingIfNeeded: generator.next())
    case 3: bytes[position] = [0, 1, 0x7F, 0x80, 0xFF][generator.below(5)]
    case 4: bytes.removeSubrange(position...)
    case 5: bytes.removeSubrange(position..<min(bytes.count, position + 1 + generator.below(16)))
    case 6:
      bytes.insert(contentsOf: (0...generator.below(8)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }, at: position)
    case 7:
      let start = generator.below(bytes.count)
      let piece = Array(bytes[start..<min(bytes.count, start + 1 + generator.below(32))])
      bytes.insert(contentsOf: piece, at: position)
    default:
      // Damages a length field, little- or big-endian, of any width and at any place.
      let width = [2, 4, 8][generator.below(3)]
      let value = generator.below(2) == 0 ? Self.edges[generator.below(Self.edges.count)] : UInt64(generator.below(2 * bytes.count))
      let isBig = generator.below(4) == 0
      for index in 0..<min(width, bytes.count - position) {
        bytes[position + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (isBig ? width - 1 - index : index)))
      }
    }
  }
}

/// Returns the peak memory of this process in bytes. The reserved memory also shows allocations that were never touched.
func peakMemory() -> (resident: Int, reserved: Int) {
  // The peak of getrusage includes the parent's memory from before exec.
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  func kilobytes(_ key: String) -> Int {
    let line = status.split(separator: "\n").first { $0.hasPrefix(key) } ?? ""
    return line.split(separator: " ", omittingEmptySubsequences: true).dropFirst().first.flatMap { Int($0) } ?? 0
  }
  return (kilobytes("VmHWM:") * 1024, kilobytes("VmPeak:") * 1024)
}

/// Gives a reader `iterations` damaged files, and stops the process if memory grows more than such small files can need.
///
/// Run it in a separate process (an exit test), so that other tests and crashes cannot disturb the result.
///
/// - Parameter read: returns true if the reader accepted the file.
func fuzz(_ name: String, seeds: [[UInt8]], iterations: Int = fuzzIterations, read: ([UInt8], inout SeededGenerator) -> Bool) {
  precondition(!seeds.isEmpty && seeds.allSatisfy { !$0.isEmpty }, "\(name): no seeds")
  // The warm-up keeps allocations that a reader makes once out of the measurement.
  var helper = SeededGenerator(seed: 1)
  for seed in seeds { _ = read(seed, &helper) }
  let before = peakMemory()
  precondition(before.resident > 0, "peak memory cannot be measured")
  let clock = ContinuousClock()
  let start = clock.now
  var mutator = Mutator(seed: 0x5A7, seeds: seeds)
  var accepted = 0
  for _ in 0..<iterations where read(mutator.next(), &mutator.generator) { accepted += 1 }
  let after = peakMemory()
  let grown = (after.resident - before.resident, after.reserved - before.reserved)
  print(
    "\(name): \(iterations) damaged files, \(accepted) still readable, \(clock.now - start), peak memory +\(grown.0 >> 10) KiB")
  precondition(accepted > 0 && accepted < iterations, "\(name): \(accepted) accepted; the damage does not reach the checks")
  precondition(grown.0 < 64 << 20 && grown.1 < 256 << 20, "\(name): memory grew by \(grown) bytes")
}

/// Prints the measurements of the process that ran `fuzz`.
func report(_ run: ExitTest.Result?) {
  print(String(decoding: run?.standardOutputContent ?? [], as: UTF8.self), terminator: "")
}

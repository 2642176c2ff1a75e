/// Chooses how many samples an attack takes at once between two saved states, so that a kill loses little work.
///
/// The size is the largest power of two that, at the measured speed, finishes within the loss a kill may cost. If small groups
/// make a pass much slower, as on a GPU, the size stays larger.
struct GroupSize {
  private let maximum: Int
  /// Seconds.
  private let limit: Double
  private var least = 1
  private var cheapest = Double.infinity

  /// The most that a pass may cost, relative to a pass in the cheapest group.
  private static let tolerance = 1.5

  init(maximum: Int, limit: Duration) {
    self.maximum = maximum
    self.limit = limit / .seconds(1)
  }

  /// Returns the number of samples in the next group, from the seconds per sample; nil if unknown.
  func samples(pace: Double?) -> Int {
    guard let pace, pace > 0, limit / pace < Double(maximum) else { return maximum }
    var size = 1
    while Double(2 * size) * pace <= limit { size *= 2 }
    return min(maximum, max(least, size))
  }

  /// Records the cost of a finished group.
  mutating func observe(_ size: Int, seconds: Double, passes: Int) {
    guard passes > 0 else { return }
    let cost = seconds / Double(passes)
    if size < maximum && cost > Self.tolerance * cheapest { least = max(least, 2 * size) }
    cheapest = min(cheapest, cost)
  }
}

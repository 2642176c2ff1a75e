/// How many samples an attack takes at once where its state is kept, so that little is lost when the process is killed.
///
/// The largest power of two that, at the measured speed, finishes within the loss a kill may cost. Where small blocks make a pass
/// much dearer, as on a GPU, blocks stay larger than that.
struct BlockSize {
  private let most: Int
  /// Seconds.
  private let limit: Double
  private var least = 1
  private var cheapest = Double.infinity

  /// How much dearer than in the best block a pass may be.
  private static let tolerance = 1.5

  init(most: Int, limit: Duration) {
    self.most = most
    self.limit = limit / .seconds(1)
  }

  /// - Parameter pace: seconds a sample takes; nil where nobody knows.
  func samples(pace: Double?) -> Int {
    guard let pace, pace > 0, limit / pace < Double(most) else { return most }
    var size = 1
    while Double(2 * size) * pace <= limit { size *= 2 }
    return min(most, max(least, size))
  }

  /// Takes down what a block has cost.
  mutating func observe(_ size: Int, seconds: Double, passes: Int) {
    guard passes > 0 else { return }
    let cost = seconds / Double(passes)
    if size < most && cost > Self.tolerance * cheapest { least = max(least, 2 * size) }
    cheapest = min(cheapest, cost)
  }
}

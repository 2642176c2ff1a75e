package enum Suggestion {
  /// Returns the known word nearest to `word` by Levenshtein's distance, in any case; nil when none is near enough for a slip.
  static func nearest(to word: String, among known: [String]) -> String? {
    let typed = Array(word.lowercased().prefix(64))
    let ranked = known.map { (word: $0, distance: distance(typed, Array($0.lowercased()))) }
    guard let best = ranked.min(by: { $0.distance < $1.distance }), best.distance <= max(2, typed.count / 3) else { return nil }
    return best.distance < max(typed.count, best.word.count) ? best.word : nil
  }

  /// Returns the end of an error about `word`: a question that suggests a known word, or nothing.
  package static func question(about word: String, among known: [String]) -> String {
    nearest(to: word, among: known).map { "; did you mean '\($0)'?" } ?? ""
  }

  private static func distance(_ a: [Character], _ b: [Character]) -> Int {
    var row = Array(0...b.count)
    for (i, left) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, right) in b.enumerated() {
        let substituted = diagonal + (left == right ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(substituted, row[j] + 1, diagonal + 1)
      }
    }
    return row[b.count]
  }
}

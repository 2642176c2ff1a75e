import Testing

@testable import SAT

@Suite struct TextTableTests {
  private static var wide: TextTable {
    TextTable([
      ["attack", "correct", "accuracy", "seconds"], ["clean", "90/100", "90.00 %"], ["pgd", "45/100", "45.00 %", "12.5"],
    ])
  }

  @Test func withoutALimitEveryRowIsALine() {
    #expect(
      Self.wide.description == """
        attack  correct  accuracy  seconds
        clean    90/100   90.00 %
        pgd      45/100   45.00 %     12.5

        """)
  }

  @Test func columnsThatDoNotFitFollowBesideTheFirst() {
    TextTable.$width.withValue(26) {
      #expect(
        Self.wide.description == """
          attack  correct  accuracy
          clean    90/100   90.00 %
          pgd      45/100   45.00 %

          attack  seconds
          pgd        12.5

          """)
    }
  }

  @Test func wordsWrapFirst() {
    let table = TextTable([["check", "result", "meaning"], ["box", "holds", "every pixel is between 0 and 1"]], leftColumns: 3)
    TextTable.$width.withValue(36) {
      #expect(
        table.description == """
          check  result  meaning
          box    holds   every pixel is
                         between 0 and 1

          """)
    }
  }

  /// No limit loses a cell, and each line fits if every column alone fits beside the first.
  @Test func noWidthLosesACell() {
    let rows = (0..<4).map { row in (0..<7).map { "r\(row)c\($0)" + String(repeating: "x", count: (row + $0) % 5) } }
    for width in 20...90 {
      let text = TextTable.$width.withValue(width) { TextTable(rows).description }
      #expect(text.split(separator: "\n").allSatisfy { $0.count <= width }, "\(width)")
      #expect(rows.joined().allSatisfy { text.contains($0) }, "\(width)")
    }
  }
}

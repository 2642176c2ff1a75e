import Foundation
import Testing

@Suite(.timeLimit(.minutes(20))) struct BenchCommandTests {
  @Test func thePartsCostWhatTheyShould() throws {
    func run(_ extra: [String]) throws -> [String: Double] {
      let outcome = try Command.run(
        ["bench", "--model", "lenet5", "--seconds", "0.1", "--threads", "1", "--json", "--quiet"] + extra)
      #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
      #expect(outcome.json["format"] as? String == "sat-bench/1" && outcome.json["threads"] as? Int == 1)
      let parts = try #require(outcome.json["parts"] as? [[String: Any]])
      #expect(parts.map { $0["name"] as? String } == ["forward", "gradient", "update", "at"])
      for part in parts {
        let (seconds, rate) = (part["seconds"] as! Double, part["samplesPerSecond"] as! Double)
        #expect(seconds > 0 && abs(rate * seconds / Double(outcome.json["batchSize"] as! Int) - 1) < 1e-6)
        #expect(part["repetitions"] as! Int >= 3)
      }
      return Dictionary(uniqueKeysWithValues: parts.map { ($0["name"] as! String, $0["seconds"] as! Double) })
    }
    let (few, many) = (try run(["--batch-size", "32", "--steps", "2"]), try run(["--batch-size", "32", "--steps", "40"]))
    // On a busy machine times vary by factors; twenty times the steps are more than that.
    #expect(many["at"]! > 4 * few["at"]!, "\(few), \(many)")
    #expect(few["gradient"]! > few["forward"]!, "\(few)")
    #expect(many["at"]! > 10 * few["gradient"]!, "\(few), \(many)")
  }

  @Test(arguments: [
    (["--model", "vgg"], Int32(1), "vgg"), (["--model-option", "classes"], 64, "key=value"),
    (["--seconds", "inf"], 64, "0.01 to 3600"),
    (["--batch-size", "0"], 64, "1 to 1000000"), (["--steps", "9999999999"], 64, "1 to 1000000"),
  ])
  func mistakesGetASentence(arguments: [String], status: Int32, words: String) throws {
    let outcome = try Command.run(["bench"] + arguments)
    #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.errors)")
  }
}

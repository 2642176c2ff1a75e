import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests of each attack's entry, and of an attack that a user of the library declares.
@Suite struct AttackRegistryTests {
  static func settings(
    _ norm: Norm, _ version: AutoAttack.Version = .standard, classes: Int = 10
  ) throws(SATError) -> AttackSettings {
    AttackSettings(threat: try ThreatModel(norm: norm, epsilon: 0.5), version: version, seed: 3, classes: classes)
  }

  /// An attack with a parameter that no other attack has, in one norm, for three classes or more.
  private final class Weighted: Attack {
    static let needsGradients = false
    static let entry = AttackEntry(
      name: "weighted", summary: "a test's own", norms: [.l2],
      parameters: [
        .steps { _, _ in 12 },
        .number("start-weight", in: 0...4) { settings, own in settings.threat.epsilon * Double(own.steps!) / 10 },
      ],
      minimumClasses: { _ in 3 },
      make: { settings, own in Weighted(settings.threat, own) })

    let name = "weighted"
    let threat: ThreatModel
    let parameters: AttackParameters
    let cost = AttackCost()

    init(_ threat: ThreatModel, _ parameters: AttackParameters) {
      self.threat = threat
      self.parameters = parameters
    }

    func perturb(_ model: any Classifier, _ batch: AttackBatch) throws(TorchError) -> AttackResult {
      AttackResult(images: batch.images, findings: batch.samples.map { _ in nil })
    }
  }

  @Test func entriesMakeTheAttacksTheyName() throws {
    let names = AttackRegistry.entries.map(\.name)
    #expect(Set(names).count == names.count && !names.contains("clean") && !names.contains("autoattack"))
    for entry in AttackRegistry.entries {
      for norm in entry.norms {
        for version in AutoAttack.Version.allCases {
          let settings = try Self.settings(norm, version)
          let own = try entry.parameters(settings)
          let attack = try entry.attack(settings, own)
          #expect(attack.name == entry.name && attack.threat == settings.threat)
          #expect(type(of: attack).needsGradients == entry.needsGradients && attack.passesPerSample(classes: 10) >= 0)
          for parameter in entry.parameters {
            #expect(attack.parameters[parameter.name] == own[parameter.name], "\(entry.name) \(parameter.name)")
            #expect(parameter.accepts(try #require(own[parameter.name])), "\(entry.name) \(parameter.name)")
          }
        }
      }
    }
  }

  /// The help of `sat evaluate` shows these texts. The list is fixed, so a new attack changes nothing here.
  @Test func theRegistryDescribesTheDefaults() {
    let entries = [
      PGD.fgsmEntry, PGD.entry, APGD.crossEntropyEntry, APGD.dlrEntry, APGD.targetedEntry, FAB.entry, FAB.targetedEntry,
      Square.entry,
    ]
    let expected = [
      "steps": "for pgd the run's, else 40; for the others 100", "step-size": "the run's, else 2.5 * epsilon / steps",
      "restarts": "for fab 5; for the others 1", "targets": "for apgd-t, fab-t 9; for the others 0", "queries": "5000", "eot": "1",
    ]
    for (name, text) in expected { #expect(AttackRegistry.defaults(of: name, in: entries) == text) }
    #expect(AttackRegistry.takers(of: "queries").contains("square") && AttackRegistry.takers(of: "nothing").isEmpty)
    let changing = expected.keys.filter { AttackRegistry.dependsOnVersion($0, in: entries) }
    #expect(changing.sorted() == ["eot", "restarts", "targets"])
  }

  @Test func theEnsemblesAreOfTheRegistry() {
    let members = AttackRegistry.entries.filter(\.isAutoAttack).map(\.name)
    #expect(members == ["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"])
    for version in AutoAttack.Version.allCases {
      #expect(AutoAttack.ensemble(version).allSatisfy { members.contains($0.name) }, "\(version)")
    }
  }

  @Test func anAttackOfOneFileHasItsOwnParameter() throws {
    func made(_ norm: Norm, _ asked: AttackParameters, classes: Int = 10) throws(SATError) -> AttackParameters {
      let suite = AttackSuite(try Self.settings(norm, classes: classes), asked: asked)
      return try suite.attacks([Weighted.entry]).attacks[0].parameters
    }
    // A default follows from another parameter.
    #expect(try made(.l2, AttackParameters()) == AttackParameters(["steps": .whole(12), "start-weight": .number(0.6)]))
    let asked = AttackParameters(["start-weight": .whole(2), "steps": .whole(3), "queries": .whole(5)])
    let found = try made(.l2, asked)
    #expect(found == AttackParameters(["steps": .whole(3), "start-weight": .whole(2)]))
    #expect(found.description == "steps 3 start-weight 2")
    let refused: [(Norm, AttackParameters, Int, String)] = [
      (.linf, AttackParameters(), 10, "weighted supports l2, not linf"),
      (.l2, AttackParameters(["start-weight": .number(4.5)]), 10, "start-weight of weighted is 4.5; expected 0 to 4"),
      (.l2, AttackParameters(["steps": .word("many")]), 10, "expected 1 to 1000000"),
      (.l2, AttackParameters(), 2, "needs a model of at least 3 classes, and this model has 2; use one of fgsm, pgd, apgd-ce, fab"),
    ]
    for (norm, asked, classes, words) in refused {
      let error = #expect(throws: SATError.self) { try made(norm, asked, classes: classes) }
      #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }
  }

  /// Documents spell parameters in camel case, options with dashes.
  @Test func parametersInADocument() throws {
    let parameters = AttackParameters(
      ["steps": .whole(40), "step-size": .number(0.0125), "loss": .word("ce"), "start-weight": .number(2), "eot": .whole(1)])
    let text = try JSONText.encode(parameters)
    let keys = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(keys as NSDictionary == ["steps": 40, "stepSize": 0.0125, "loss": "ce", "startWeight": 2, "eot": 1] as NSDictionary)
    #expect(try JSONDecoder().decode(AttackParameters.self, from: Data(text.utf8)) == parameters)
    #expect(parameters.description == "steps 40 step-size 0.0125 loss ce eot 1 start-weight 2.0")
    let asked = AttackParameters(steps: 40, stepSize: 0.0125, loss: .crossEntropy, eot: 1)
    #expect(asked.steps == 40 && asked.stepSize == 0.0125 && asked.loss == .crossEntropy && asked.eot == 1 && asked.targets == nil)
  }

  @Test func valuesAreReadAsTyped() {
    let typed: [(String, AttackParameters.Value)] = [
      ("20", .whole(20)), ("0.3", .number(0.3)), ("8/255", .number(8.0 / 255)), ("ce", .word("ce")),
    ]
    for (text, value) in typed { #expect(AttackParameters.Value(text) == value) }
    #expect(AttackParameters.Value("1") != .word("1") && AttackParameters.Value("1.5").whole == nil)
  }
}

import Foundation
import SwiftTorch
import Testing

@testable import SAT

/// Tests the promises of both modes: nothing depends on the batch, hits are confirmed, weights get no gradients.
@Suite struct AutoAttackModeTests {
  /// A small smooth network in double precision, so that rounding decides nothing.
  static func network(classes: Int = 6) -> (Tensor) -> Tensor {
    let generator = Generator(seed: 3)
    let first = Tensor.randn([24, 36], generator: generator, dtype: .float64)
    let second = Tensor.randn([classes, 24], generator: generator, dtype: .float64)
    return { x in (x.flattened(from: 1) - 0.5).matmul(first.transposed(0, 1)).tanh().matmul(second.transposed(0, 1)) }
  }

  static var images: Tensor { Tensor.rand([64, 1, 6, 6], generator: Generator(seed: 1), dtype: .float64) }

  static func batch(_ network: (Tensor) -> Tensor, _ samples: [Int], capacity: Int? = nil) -> AttackBatch {
    let part = images.selecting(Tensor(samples))
    let logits = network(part)
    return AttackBatch(images: part, labels: logits.argmax(dim: 1), samples: samples, logits: logits, capacity: capacity)
  }

  static func attacks(_ threat: ThreatModel, _ mode: AttackMode) -> [any Attack] {
    [
      APGD(threat: threat, loss: .crossEntropy, restarts: 2, iterations: 20, mode: mode, seed: 7),
      APGD(
        threat: threat, loss: .dlr, targets: 5, restarts: 2, iterations: 20, usesLargeRadii: threat.norm == .l1, mode: mode, seed: 7
      ),
      FAB(threat: threat, restarts: 2, iterations: 15, mode: mode, seed: 7),
      FAB(threat: threat, targets: 5, iterations: 15, mode: mode, seed: 7),
    ]
  }

  static func threat(_ norm: Norm) throws -> ThreatModel {
    try ThreatModel(norm: norm, epsilon: [.linf: 0.02, .l2: 0.09, .l1: 0.3][norm]!)
  }

  @Test(arguments: Norm.allCases)
  func findingsDoNotDependOnTheBatch(norm: Norm) throws {
    let network = Self.network()
    let threat = try Self.threat(norm)
    func run(_ make: () -> any Attack, _ order: [Int], size: Int) throws -> (findings: [Finding?], images: Tensor) {
      let attack = make()
      var findings = [Finding?](repeating: nil, count: order.count)
      let images = Self.images.cloned()
      for start in stride(from: 0, to: order.count, by: size) {
        let samples = Array(order[start..<min(start + size, order.count)])
        let result = try attack.perturb(FunctionClassifier(network), Self.batch(network, samples, capacity: size))
        for (i, sample) in samples.enumerated() { findings[sample] = result.findings[i] }
        images.copyInPlace(from: result.images, at: Tensor(samples))
      }
      return (findings, images)
    }
    let whole = Array(0..<64)
    var generator = Generator(seed: 8)
    let shuffled = whole.shuffled(using: &generator)
    let maximizer = InnerMaximizer(threat: threat, steps: 6, stepSize: threat.epsilon / 3)
    let count = Self.attacks(threat, .fast).count
    for index in 0...count {
      let make: () -> any Attack = {
        index < count ? Self.attacks(threat, .fast)[index] : PGD(maximizer, loss: .margin, targets: 2, restarts: 2, seed: 7)
      }
      let expected = try run(make, whole, size: 64)
      let found = expected.findings.count { $0 != nil }
      #expect((5...60).contains(found), "\(make().name) \(norm): \(found) of 64 found show little")
      for (order, size) in [(whole, 1), (whole, 7), (shuffled, 64)] {
        let other = try run(make, order, size: size)
        #expect(other.findings == expected.findings, "\(make().name) \(norm), batches of \(size)")
        #expect(other.images.isClose(to: expected.images, relative: 0, absolute: 1e-9))
      }
    }
  }

  /// From the same starting points both modes break the same samples.
  @Test(arguments: Norm.allCases)
  func fastBreaksWhatCompatBreaks(norm: Norm) throws {
    let network = Self.network()
    let threat = try Self.threat(norm)
    let batch = Self.batch(network, Array(0..<64))
    // FAB over targets draws nothing.
    let both = try AttackMode.allCases.map { mode in
      let attack = FAB(threat: threat, targets: 5, iterations: 30, mode: mode, seed: 0)
      let result = try attack.perturb(FunctionClassifier(network), batch)
      return (result.findings.map { $0 != nil }, attack.cost)
    }
    #expect(both[0].0 == both[1].0)
    #expect(both[0].1.forward < both[1].1.forward && both[0].1.backward < both[1].1.backward, "fast costs less")
    // APGD from the images themselves.
    let flags = try AttackMode.allCases.map { mode in
      let search = try BatchSearch(FunctionClassifier(network), batch, mode, name: "apgd", seed: 0)
      let run = APGDRun(norm: norm, radius: threat.epsilon, iterations: 30, loss: .dlr, passes: 1)
      try search.run(targets: 5, restarts: 1) { (rows) throws(TorchError) in _ = try run(rows, from: rows.clean) }
      return search.findings.map { $0 != nil }
    }
    #expect(flags[0] == flags[1])
    #expect(flags[0].contains(true) && flags[0].contains(false))
  }

  /// Sees every image of class 0 as misclassified, unless asked for confirmation.
  private final class Alarmist: Classifier {
    var execution = Execution()
    let exact: (Tensor) -> Tensor
    private(set) var searches = 0
    init(_ exact: @escaping (Tensor) -> Tensor) { self.exact = exact }
    var isExact: Bool { false }
    func logits(_ images: Tensor) throws(TorchError) -> Tensor {
      searches += 1
      return exact(images) + Tensor([[0, 100]] as [[Float]])
    }
    func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { exact(images) }
    func move(to device: Device) {}
  }

  @Test func aHitCountsOnlyWhenTheNetworkItselfAgrees() throws {
    let oracle = LinearOracle(classes: 2, samples: 60, seed: 2)
    let threat = try ThreatModel(epsilon: 0.05)
    let samples = oracle.labels.equal(to: 0).nonzero().squeezed(dim: 1).array(of: Int.self)
    let reach = oracle.reach(threat)
    let model = Alarmist(oracle.function)
    let attack = APGD(threat: threat, loss: .crossEntropy, mode: .fast, seed: 1)
    let found = try attack.perturb(model, oracle.batch(samples)).findings.map { $0 != nil }
    #expect(found.contains(true) && found.contains(false))
    for (sample, found) in zip(samples, found) where abs(reach[sample]) > 0.02 { #expect(found == (reach[sample] > 0)) }
    // A hit that was not confirmed is asked about again.
    #expect(attack.cost.forward > attack.cost.backward + 50 * found.count { !$0 })

    let before = model.searches
    let compat = APGD(threat: threat, loss: .crossEntropy, mode: .compat, seed: 1)
    try oracle.expect(try compat.perturb(model, oracle.batch()), threat, reach, slack: 0.02, "compat")
    #expect(model.searches == before, "compat asks the network itself only")
  }

  /// Searches with logits that never leave the label, and decides by others, as bfloat16 can round a hit away.
  private final class Rounded: Classifier {
    var execution = Execution()
    let exact: (Tensor) -> Tensor
    let precision: Execution.Precision
    init(_ exact: @escaping (Tensor) -> Tensor, _ precision: Execution.Precision) {
      self.exact = exact
      self.precision = precision
    }
    var isExact: Bool { false }
    func logits(_ images: Tensor) throws(TorchError) -> Tensor { exact(images) * 0.001 + Tensor([[50, 0]] as [[Float]]) }
    func confirmedLogits(_ images: Tensor) throws(TorchError) -> Tensor { exact(images) }
    func move(to device: Device) {}
  }

  /// The search sees no hit, so only the look in float32 at the end of a run can find one.
  @Test(arguments: Norm.allCases) func aHitThatOnlyFloat32SeesIsFound(norm: Norm) throws {
    let oracle = LinearOracle(classes: 2, samples: 40, seed: 2)
    let threat = try ThreatModel(norm: norm, epsilon: [.linf: 0.3, .l2: 2, .l1: 12][norm]!)
    let samples = oracle.labels.equal(to: 0).nonzero().squeezed(dim: 1).array(of: Int.self)
    let maximizer = InnerMaximizer(threat: threat, steps: 20, stepSize: threat.epsilon / 4)
    let attacks: [() -> any Attack] = [
      { PGD(maximizer, seed: 1) }, { APGD(threat: threat, loss: .crossEntropy, iterations: 20, mode: .fast, seed: 1) },
      { FAB(threat: threat, targets: 1, iterations: 20, mode: .fast, seed: 1) },
      { Square(threat: threat, seed: 1, queries: 200) },
    ]
    for make in attacks {
      let found = try [Execution.Precision.bf16, .fp32].map { precision in
        try make().perturb(Rounded(oracle.function, precision), oracle.batch(samples)).findings.count { $0 != nil }
      }
      #expect(found[0] > 0 && found[1] == 0, "\(make().name) in \(norm.rawValue): \(found)")
    }
  }

  @Test func preparedNetworksAreConfirmed() throws {
    let network = try NetworkClassifier.golden("mnist-cnn")
    #expect(network.isExact)
    let images = GoldenNumbers.images([3, 1, 28, 28])
    try network.withPreparedWeights(inputShape: [1, 28, 28]) { () throws(TorchError) in
      #expect(!network.isExact)
      expectIdentical(try network.confirmedLogits(images), network.module(images))
    }
  }

  @Test func oneSampleOrNone() throws {
    let network = Self.network()
    let threat = try Self.threat(.linf)
    for mode in AttackMode.allCases {
      for attack in Self.attacks(threat, mode) {
        #expect(try attack.perturb(FunctionClassifier(network), Self.batch(network, [5])).findings.count == 1)
        let none = AttackBatch(
          images: Self.images[..<0], labels: Tensor.zeros(0, dtype: .int64), samples: [],
          logits: Tensor.zeros(0, 6, dtype: .float64))
        #expect(try attack.perturb(FunctionClassifier(network), none).findings.isEmpty)
      }
    }
  }

  @Test func lossesSayHowManyClassesTheyNeed() throws {
    let threat = try Self.threat(.linf)
    let three = Self.network(classes: 3)
    #expect(throws: TorchError.self) {
      try APGD(threat: threat, loss: .dlr, targets: 2, mode: .fast, seed: 0)
        .perturb(FunctionClassifier(three), Self.batch(three, [0]))
    }
    func run(_ classes: Int, _ version: AutoAttack.Version = .plus) throws -> (names: [String], warning: String?) {
      let suite = AttackSuite(AttackSettings(threat: threat, version: version, seed: 0, classes: classes))
      let (attacks, warning) = try suite.attacks(AutoAttack.ensemble(version))
      return (attacks.map(\.name), warning?.message)
    }
    #expect(try run(2).names == ["apgd-ce", "fab", "square", "fab-t"])
    #expect(try run(3).names == ["apgd-ce", "apgd-dlr", "fab", "square", "fab-t"])
    #expect(try run(4).names == ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"])
    #expect(try run(4).warning?.contains("3 target classes") == true)
    #expect(try run(10).warning == nil && run(10, .standard).names == ["apgd-ce", "apgd-t", "fab-t", "square"])
    #expect(try run(10, .rand).names == ["apgd-ce", "apgd-dlr"])
  }

  @Test func versionsHaveThePublishedParameters() throws {
    func attack(_ entry: AttackEntry, _ version: AutoAttack.Version, _ norm: Norm) throws -> any Attack {
      let settings = AttackSettings(threat: try ThreatModel(norm: norm, epsilon: 0.5), version: version, seed: 0, classes: 10)
      return try AttackSuite(settings).attacks([entry]).attacks[0]
    }
    for norm in Norm.allCases {
      let isL1 = norm == .l1
      let ce = try #require(try attack(APGD.crossEntropyEntry, .standard, norm) as? APGD)
      #expect(
        ce.restarts == (isL1 ? 5 : 1) && ce.usesLargeRadii == isL1 && ce.passes == 1 && ce.iterations == 100 && ce.targets == 0)
      let targeted = try #require(try attack(APGD.targetedEntry, .standard, norm) as? APGD)
      #expect(
        targeted.targets == (isL1 ? 5 : 9) && targeted.restarts == 1 && targeted.usesLargeRadii == isL1 && targeted.loss == .dlr)
      let plus = try #require(try attack(APGD.dlrEntry, .plus, norm) as? APGD)
      #expect(plus.restarts == 5 && !plus.usesLargeRadii && plus.loss == .dlr)
      let random = try #require(try attack(APGD.crossEntropyEntry, .rand, norm) as? APGD)
      #expect(random.passes == 20 && random.restarts == 1)
      let custom = try #require(try attack(APGD.crossEntropyEntry, .custom, norm) as? APGD)
      #expect(custom.restarts == 5 && !custom.usesLargeRadii)
      let fab = try #require(try attack(FAB.entry, .plus, norm) as? FAB)
      let fabT = try #require(try attack(FAB.targetedEntry, .standard, norm) as? FAB)
      #expect(fab.restarts == 5 && fab.targets == 0 && fabT.restarts == 1 && fabT.targets == 9)
    }
  }

  @Test func whatIsAskedForReachesTheAttacksThatHaveIt() throws {
    let asked = AttackParameters(steps: 7, restarts: 3, targets: 2, queries: 11, eot: 4)
    for (version, mode) in [(AutoAttack.Version.standard, AttackMode.fast), (.custom, .compat), (.custom, .fast)] {
      let settings = AttackSettings(threat: try Self.threat(.linf), version: version, mode: mode, seed: 0, classes: 10)
      let entries = AttackRegistry.entries.filter { $0.norms.contains(.linf) }
      let attacks = try AttackSuite(settings, asked: asked, published: ["fab"]).attacks(entries).attacks
      let found = Dictionary(uniqueKeysWithValues: attacks.map { ($0.name, $0.parameters) })
      let apgd = AttackParameters(steps: 7, restarts: 3, loss: .dlr, eot: 4)
      #expect(found["apgd-dlr"] == apgd)
      #expect(found["apgd-t"] == AttackParameters(steps: 7, restarts: 3, targets: 2, loss: .dlr, eot: 4))
      #expect(found["fab"] == AttackParameters(steps: 100, restarts: 5), "the version's own")
      #expect(found["fab-t"] == AttackParameters(steps: 7, restarts: 3, targets: 2))
      #expect(found["square"] == AttackParameters(restarts: 3, queries: 11))
      #expect(
        found["pgd"]?.steps == 7 && found["pgd"]?.restarts == 3 && found["pgd"]?.targets == 2
          && found["pgd"]?.stepSize == 2.5 * 0.02 / 7)
      #expect(found["fgsm"]?.targets == 2 && found["fgsm"]?.restarts == 1)
    }
    func refused(_ norm: Norm, _ asked: AttackParameters, _ version: AutoAttack.Version = .standard) throws -> String? {
      let settings = AttackSettings(threat: try ThreatModel(norm: norm, epsilon: 0.5), version: version, seed: 0, classes: 10)
      do { _ = try AttackSuite(settings, asked: asked).attacks([APGD.targetedEntry]) } catch { return error.message }
      return nil
    }
    // 30 %, 30 % and the rest.
    #expect(try refused(.l1, AttackParameters(steps: 4))?.contains("at least 5") == true)
    #expect(try refused(.l1, AttackParameters(steps: 5)) == nil && refused(.l1, AttackParameters(steps: 1), .custom) == nil)
    #expect(try refused(.linf, AttackParameters(targets: 0))?.contains("1 to 9") == true)
  }

  /// The losses against their definitions, written out.
  @Test func lossesAreTheDefinitions() {
    let logits = Tensor.randn([40, 6], generator: Generator(seed: 4), dtype: .float64)
    let labels = Tensor.randint(0..<6, [40], generator: Generator(seed: 5))
    let targets = (labels + 2).remainder(6)
    let rows = logits.array(of: Double.self, shaped: true)
    func check(_ loss: AttackLoss, _ targets: Tensor?, _ value: ([Double], Int, Int) -> Double) {
      let values = loss.values(logits, labels, targets).array(of: Double.self)
      for (i, (y, t)) in zip(labels.array(of: Int.self), (labels + 2).remainder(6).array(of: Int.self)).enumerated() {
        #expect(abs(values[i] - value(rows[i], y, t)) < 1e-9, "\(loss) row \(i)")
      }
    }
    func logSum(_ z: [Double]) -> Double { z.reduce(0) { $0 + exp($1) } }
    func other(_ z: [Double], _ y: Int) -> Double { z.indices.filter { $0 != y }.map { z[$0] }.max()! }
    check(.crossEntropy, nil) { z, y, _ in log(logSum(z)) - z[y] }
    check(.crossEntropy, targets) { z, _, t in z[t] - log(logSum(z)) }
    check(.margin, nil) { z, y, _ in other(z, y) - z[y] }
    check(.margin, targets) { z, y, t in z[t] - z[y] }
    check(.dlr, nil) { z, y, _ in
      let s = z.sorted(by: >)
      return (other(z, y) - z[y]) / (s[0] - s[2])
    }
    check(.dlr, targets) { z, y, t in
      let s = z.sorted(by: >)
      return (z[t] - z[y]) / (s[0] - (s[2] + s[3]) / 2)
    }
  }
}

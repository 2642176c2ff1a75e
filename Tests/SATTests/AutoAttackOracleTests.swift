import SwiftTorch
import Testing

@testable import SAT

/// The attacks against closed forms on linear classifiers.
@Suite struct AutoAttackOracleTests {
  /// Radii at which about half of the samples can be broken.
  static func threat(_ norm: Norm, classes: Int) throws -> ThreatModel {
    let radii: [Norm: Double] = classes == 2 ? [.linf: 0.05, .l2: 0.25, .l1: 0.8] : [.linf: 0.03, .l2: 0.15, .l1: 0.5]
    return try ThreatModel(norm: norm, epsilon: radii[norm]!)
  }

  @Test(arguments: Norm.allCases, AttackMode.allCases)
  func everyAttackIsExactWithTwoClasses(norm: Norm, mode: AttackMode) throws {
    let threat = try Self.threat(norm, classes: 2)
    for seed in 1...3 as ClosedRange<UInt64> {
      let oracle = LinearOracle(classes: 2, samples: 80, seed: seed)
      let attacks: [any Attack] = [
        APGD(threat: threat, loss: .crossEntropy, mode: mode, seed: 5),
        APGD(name: "apgd-margin", threat: threat, loss: .margin, targets: 9, mode: mode, seed: 5),
        FAB(threat: threat, mode: mode, seed: 5), FAB(threat: threat, targets: 9, mode: mode, seed: 5),
      ]
      let reach = oracle.reach(threat)
      for attack in attacks {
        let result = try attack.perturb(oracle.model, oracle.batch())
        // One run of APGD in L1 stops a little short of the best point; FAB does not.
        let slack = norm == .l1 && attack is APGD ? 0.35 : 0.01
        try oracle.expect(result, threat, reach, slack: slack, "\(attack.name) \(norm) \(mode) seed \(seed)")
      }
    }
  }

  @Test(arguments: Norm.allCases, AttackMode.allCases)
  func theWhiteBoxAttacksTogetherAreExactWithFiveClasses(norm: Norm, mode: AttackMode) throws {
    let threat = try Self.threat(norm, classes: 5)
    for seed in 1...3 as ClosedRange<UInt64> {
      let oracle = LinearOracle(classes: 5, samples: 60, seed: seed)
      var together = AttackResult(images: oracle.images.cloned(), findings: Array(repeating: nil, count: 60))
      let suite = AttackSuite(AttackSettings(threat: threat, mode: mode, seed: 5, classes: 5))
      for attack in try suite.attacks([APGD.crossEntropyEntry, APGD.targetedEntry, FAB.targetedEntry]).attacks {
        let open = together.findings.indices.filter { together.findings[$0] == nil }
        let result = try attack.perturb(oracle.model, oracle.batch(open))
        for (i, sample) in open.enumerated() { together.findings[sample] = result.findings[i] }
        together.images.copyInPlace(from: result.images, at: Tensor(open))
      }
      try oracle.expect(together, threat, oracle.reach(threat), slack: 0.01, "\(norm) \(mode) seed \(seed)")
    }
  }

  /// The ensemble steers to nine of a thousand classes. It finds a sample that one of the nine admits, and no other sample.
  @Test(arguments: AttackMode.allCases)
  func targetedAttacksSteerToTheLikeliestNineOfAThousand(mode: AttackMode) throws {
    let threat = try ThreatModel(epsilon: 0.006)
    let oracle = LinearOracle(classes: 1000, samples: 24, seed: 1)
    let suite = AttackSuite(AttackSettings(threat: threat, mode: mode, seed: 5, classes: 1000))
    let (attacks, warning) = try suite.attacks([APGD.targetedEntry, FAB.targetedEntry])
    #expect(warning == nil)
    let order = oracle.logits.sorted(dim: 1, descending: true).indices.array(of: Int.self, shaped: true)
    var found = Set<Int>()
    for attack in attacks {
      let result = try attack.perturb(oracle.model, oracle.batch())
      let broken = try oracle.model.logits(result.images).argmax(dim: 1).notEqual(to: oracle.labels).array(of: Bool.self)
      for (sample, finding) in result.findings.enumerated() {
        #expect((finding != nil) == broken[sample], "\(attack.name) \(mode) sample \(sample)")
        guard let finding else { continue }
        #expect(order[sample][1...9].contains(try #require(finding.target)), "\(attack.name) \(mode) sample \(sample)")
        found.insert(sample)
      }
    }
    let (ofNine, ofAll) = (oracle.reach(threat, targets: 9), oracle.reach(threat))
    for sample in ofAll.indices {
      if ofNine[sample] > 0.01 { #expect(found.contains(sample), "\(mode) sample \(sample): reach \(ofNine[sample])") }
      if ofAll[sample] < -0.01 { #expect(!found.contains(sample), "\(mode) sample \(sample): reach \(ofAll[sample])") }
    }
    #expect((4...20).contains(found.count), "\(found.count) of 24 broken show little")
  }

  @Test(arguments: Norm.allCases)
  func simpleAttacksAreExactWhereTheyCanBe(norm: Norm) throws {
    let threat = try Self.threat(norm, classes: 2)
    let oracle = LinearOracle(classes: 2, samples: 80, seed: 4)
    let reach = oracle.reach(threat)
    let maximizer = InnerMaximizer(threat: threat, steps: 60, stepSize: threat.epsilon / 8)
    for loss in AttackLoss.allCases where loss != .dlr {
      for targets in [0, 1] {
        let pgd = PGD(maximizer, loss: loss, targets: targets, restarts: 2, seed: 1)
        try oracle.expect(
          try pgd.perturb(oracle.model, oracle.batch()), threat, reach, slack: 0.03, "pgd \(loss) \(targets) \(norm)")
      }
    }
    // One full step is the optimum of L-inf: every value goes as far as ball and box allow.
    if norm == .linf {
      try oracle.expect(try PGD.fgsm(threat: threat).perturb(oracle.model, oracle.batch()), threat, reach, slack: 1e-5, "fgsm")
    }
  }

  /// FAB's perturbations are the smallest there are: the distance to the plane inside the box.
  @Test(arguments: Norm.allCases)
  func fabFindsTheSmallestPerturbation(norm: Norm) throws {
    let oracle = LinearOracle(classes: 2, samples: 40, seed: 6)
    let threat = try ThreatModel(norm: norm, epsilon: norm == .linf ? 1 : 100)
    let search = try BatchSearch(oracle.model, oracle.batch(), .compat, name: "fab", seed: 0)
    var smallest: [Double] = []
    var run = FABRun(threat: threat, iterations: 100)
    run.onStep = { _, sizes in smallest = sizes.array(of: Float.self).map(Double.init) }
    try search.run(targets: 0, restarts: 1) { (rows) throws(TorchError) in try run(rows, from: rows.clean) }
    for (i, size) in smallest.enumerated() {
      func reach(_ factor: Double) throws -> Double { try oracle.reach(ThreatModel(norm: norm, epsilon: size * factor), [i])[0] }
      #expect(try reach(1.0001) > -1e-4 && reach(0.98) < 0, "\(norm) sample \(i): \(size)")
    }
  }
}

@Suite struct HyperplaneProjectionTests {
  /// By bisection of the multiplier in double precision; for L1 by filling in order.
  static func reference(_ norm: Norm, _ x: [Double], _ w: [Double], _ distance: Double) -> [Double] {
    let sign = distance >= 0 ? -1.0 : 1.0
    let room = zip(x, w).map { x, w in sign * w > 0 ? 1 - x : x }
    func moved(_ m: Double) -> [Double] {
      zip(w, room).map { w, room in w == 0 ? 0 : min(norm == .linf ? m : m * abs(w), room) }
    }
    func fall(_ lengths: [Double]) -> Double { zip(w, lengths).reduce(0) { $0 + abs($1.0) * $1.1 } }
    var lengths: [Double]
    if norm == .l1 {
      lengths = Array(repeating: 0, count: x.count)
      var left = abs(distance)
      for i in w.indices.sorted(by: { abs(w[$0]) > abs(w[$1]) }) where w[i] != 0 {
        lengths[i] = min(left / abs(w[i]), room[i])
        left -= lengths[i] * abs(w[i])
      }
    } else {
      var (low, high) = (0.0, 1e7)
      for _ in 0..<300 {
        if fall(moved((low + high) / 2)) < abs(distance) { low = (low + high) / 2 } else { high = (low + high) / 2 }
      }
      lengths = moved(high)
    }
    return zip(w, lengths).map { sign * ($0 > 0 ? 1 : -1) * $1 }
  }

  @Test(arguments: Norm.allCases, [1, 2, 3])
  func stepsAreTheDefinition(norm: Norm, seed: UInt64) {
    let generator = Generator(seed: seed)
    let x = (Tensor.rand([60, 2, 4, 5], generator: generator, dtype: .float64) * 1.4 - 0.2).clamped(to: 0...1)
    let w =
      Tensor.randn(x.shape, generator: generator, dtype: .float64)
      * Tensor.rand(x.shape, generator: generator, dtype: .float64).greater(than: 0.2).to(.float64)
    // Some planes are near, some beyond the box.
    let distance = Tensor.randn([60, 1, 1, 1], generator: generator, dtype: .float64) * 8.0
    let double = HyperplaneProjection.step(norm, from: x, normal: w, distance: distance)
    let single = HyperplaneProjection.step(norm, from: x.to(.float32), normal: w.to(.float32), distance: distance.to(.float32))
    let sizes = double.autoAttackNorms(norm).flattened()
    // In single precision the norms agree within 1e-6 of the values' range.
    #expect(single.to(.float64).autoAttackNorms(norm).flattened().isClose(to: sizes, relative: 2e-6, absolute: 1e-6))
    for i in 0..<60 {
      let expected = Self.reference(
        norm, x[i].flattened().array(of: Double.self), w[i].flattened().array(of: Double.self), distance[i].item())
      let actual = double[i].flattened().array(of: Double.self)
      #expect(zip(actual, expected).allSatisfy { abs($0 - $1) < 1e-5 }, "\(norm) row \(i)")
    }
  }
}

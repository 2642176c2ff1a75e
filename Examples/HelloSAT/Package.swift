// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "HelloSAT",
  dependencies: [.package(name: "SAT", path: "../..")],
  targets: [.executableTarget(name: "evaluate", dependencies: [.product(name: "SAT", package: "SAT")])]
)

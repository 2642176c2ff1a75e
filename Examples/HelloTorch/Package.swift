// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "HelloTorch",
  dependencies: [.package(name: "SAT", path: "../..")],
  targets: [
    .executableTarget(name: "regression", dependencies: [.product(name: "SwiftTorch", package: "SAT")]),
    .executableTarget(name: "classifier", dependencies: [.product(name: "SwiftTorch", package: "SAT")]),
  ]
)

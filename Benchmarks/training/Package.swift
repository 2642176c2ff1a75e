// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "training-benchmark",
  dependencies: [.package(name: "SAT", path: "../..")],
  targets: [
    .executableTarget(
      name: "training-benchmark",
      dependencies: [.product(name: "SAT", package: "SAT"), .product(name: "SwiftTorch", package: "SAT")])
  ]
)

// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "hessian-benchmark",
  dependencies: [.package(name: "SAT", path: "../..")],
  targets: [
    .executableTarget(
      name: "hessian-benchmark",
      dependencies: [.product(name: "SAT", package: "SAT"), .product(name: "SwiftTorch", package: "SAT")])
  ]
)

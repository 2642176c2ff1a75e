// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "dispatch",
  dependencies: [.package(name: "SAT", path: "../..")],
  targets: [.executableTarget(name: "dispatch", dependencies: [.product(name: "SwiftTorch", package: "SAT")])]
)

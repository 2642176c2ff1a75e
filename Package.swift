// swift-tools-version: 6.2
import PackageDescription

// CMake builds the C++ library (scripts/bootstrap). TORCH_SHIM_DIR names the folder of another build of it.
let shim = Context.environment["TORCH_SHIM_DIR"] ?? "\(Context.packageDirectory)/build/shim"

let strict: [SwiftSetting] = [.enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("MemberImportVisibility")]

// Only `make docs` needs DocC's plugin, so packages that use these libraries do not fetch it.
let documentation: [Package.Dependency] =
  Context.environment["SAT_DOCS"] == nil ? [] : [.package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0")]

let package = Package(
  name: "SAT",
  products: [
    .library(name: "SwiftTorch", targets: ["SwiftTorch"]),
    .library(name: "SAT", targets: ["SAT"]),
    .executable(name: "sat", targets: ["sat"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
  ] + documentation,
  targets: [
    .target(
      name: "CTorchShim",
      linkerSettings: [
        .linkedLibrary("torchshim"),
        .unsafeFlags(["-L\(shim)", "-Xlinker", "-rpath", "-Xlinker", shim]),
      ]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    // Calls libjpeg-turbo and libpng (apt: libjpeg-dev, libpng-dev) in functions that return their errors. It opens libtiff and
    // libwebp (apt: libtiff6, libwebp7) at run time, so a build needs neither.
    .target(name: "CImageCodecs", linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png16"), .linkedLibrary("dl")]),
    .target(name: "SwiftTorch", dependencies: ["CTorchShim", "CZlib"], swiftSettings: strict),
    // Apart from SwiftTorch, so that a user of tensors links no image library.
    .target(name: "FileCodecs", dependencies: ["SwiftTorch", "CImageCodecs"], swiftSettings: strict),
    .target(
      name: "SAT",
      dependencies: [
        "SwiftTorch", "FileCodecs", .product(name: "Yams", package: "Yams"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      resources: ["html", "css", "js"].map { .embedInCode("Reports/HTML/Page/report.\($0)") } + [
        .embedInCode("Reproduction/paper.csv")
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "sat",
      dependencies: ["SAT", "SwiftTorch", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
    .testTarget(name: "SwiftTorchTests", dependencies: ["SwiftTorch"]),
    .testTarget(name: "FileCodecsTests", dependencies: ["FileCodecs", "SwiftTorch"]),
    .testTarget(name: "SATTests", dependencies: ["SAT", "FileCodecs", "SwiftTorch"]),
    .testTarget(name: "SatCommandTests", dependencies: ["SAT", "FileCodecs", "SwiftTorch"]),
  ]
)

// swift-tools-version: 6.2
import PackageDescription

/// The fuzzers. `run` in this directory builds and runs them: all modules have to be built for libFuzzer.
let package = Package(
  name: "mapped-ram-fuzz",
  dependencies: [.package(name: "mapped-ram", path: "../..")],
  targets: [
    .target(name: "CLibFuzzer"),
    .executableTarget(
      name: "Fuzz",
      dependencies: ["CLibFuzzer", .product(name: "FuzzTargets", package: "mapped-ram")],
      swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error)],
      // The gold linker of Debian 12 fails on libFuzzer's debugging information.
      linkerSettings: [.unsafeFlags(["-use-ld=lld"])]),
  ],
  swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.2
import PackageDescription

/// Micro-benchmarks: `swift package benchmark` in this directory. The engine as a whole is measured by `mapped-ram bench`.
let package = Package(
  name: "mapped-ram-benchmarks",
  dependencies: [
    .package(name: "mapped-ram", path: "../.."),
    // Without its traits: they count allocations and need packages of their own.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    .executableTarget(
      name: "MicroBenchmarks",
      dependencies: [
        .product(name: "Benchmark", package: "benchmark"),
        .product(name: "BenchmarkTargets", package: "mapped-ram"),
      ],
      path: "Benchmarks/MicroBenchmarks",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
  ],
  swiftLanguageModes: [.v6]
)

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
  targets: ["Functions", "RingOverhead"].map { name in
    .executableTarget(
      name: name,
      dependencies: [
        .product(name: "Benchmark", package: "benchmark"),
        .product(name: "MappedRAM", package: "mapped-ram"),
        .product(name: "MappedRAMParts", package: "mapped-ram"),
      ],
      path: "Benchmarks/\(name)",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
  },
  swiftLanguageModes: [.v6]
)

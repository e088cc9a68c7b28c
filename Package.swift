// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target of ours is built with.
let ours: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "mapped-ram",
  products: [
    .library(name: "MappedRAM", targets: ["MappedRAM"]),
    .library(name: "QEMUControl", targets: ["QEMUControl"]),
    // What Tests/Benchmarks measures.
    .library(name: "BenchmarkTargets", targets: ["BenchmarkTargets"]),
    // What Tests/Fuzz runs.
    .library(name: "FuzzTargets", targets: ["FuzzTargets"]),
    .executable(name: "mapped-ram", targets: ["mapped-ram"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: [
    .systemLibrary(
      name: "CLiburing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
    .systemLibrary(
      name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "MappedRAMFormat", swiftSettings: ours),
    .target(name: "LinuxIO", dependencies: ["CLinux", system], swiftSettings: ours),
    .target(
      name: "LinuxProcesses", dependencies: ["CLinux", "LinuxIO", system], swiftSettings: ours),
    .target(name: "URing", dependencies: ["CLiburing", "LinuxIO", system], swiftSettings: ours),
    .target(
      name: "MappedRAM",
      dependencies: [
        "CXXHash", "LinuxIO", "LinuxProcesses", "MappedRAMFormat", "URing", system,
      ],
      swiftSettings: ours),
    .target(
      name: "QMP", dependencies: ["LinuxIO", "LinuxProcesses", "MappedRAMFormat", system],
      swiftSettings: ours),
    .target(name: "QEMUArguments", dependencies: ["MappedRAMFormat"], swiftSettings: ours),
    .target(
      name: "QEMUControl",
      dependencies: [
        "LinuxIO", "LinuxProcesses", "MappedRAM", "MappedRAMFormat", "QEMUArguments", "QMP", system,
      ],
      swiftSettings: ours),
    .target(
      name: "MappedRAMBench",
      dependencies: [
        "LinuxIO", "LinuxProcesses", "MappedRAM", "MappedRAMFormat", "QEMUArguments", "QEMUControl",
        "QMP", histogram, system,
      ],
      swiftSettings: ours),
    .target(
      name: "MappedRAMCommands",
      dependencies: [
        "LinuxIO", "LinuxProcesses", "MappedRAM", "MappedRAMBench", "MappedRAMFormat",
        "QEMUArguments", "QEMUControl", "QMP", argumentParser, system,
      ],
      swiftSettings: ours),
    .executableTarget(
      name: "mapped-ram", dependencies: ["MappedRAMCommands"], swiftSettings: ours),

    .target(
      name: "TestSupport",
      dependencies: ["LinuxIO", "LinuxProcesses", "MappedRAM", "MappedRAMFormat", "QMP", system],
      path: "Tests/TestSupport", swiftSettings: ours),
    .target(
      name: "BenchmarkTargets",
      dependencies: ["LinuxIO", "MappedRAM", "MappedRAMBench", "MappedRAMFormat", "URing"],
      path: "Tests/BenchmarkTargets", swiftSettings: ours),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "LinuxIO", "LinuxProcesses", "MappedRAM", "MappedRAMFormat", "QEMUArguments", "QEMUControl",
        "QMP", system,
      ],
      path: "Tests/FuzzTargets", swiftSettings: ours),
    .testTarget(
      name: "FuzzTests", dependencies: ["FuzzTargets", "LinuxIO", "TestSupport", system],
      exclude: ["Cases"], swiftSettings: ours),
    .testTarget(
      name: "MappedRAMFormatTests", dependencies: ["MappedRAMFormat", "TestSupport"],
      swiftSettings: ours),
    .testTarget(
      name: "LinuxIOTests", dependencies: ["LinuxIO", "TestSupport", system], swiftSettings: ours),
    .testTarget(
      name: "LinuxProcessesTests",
      dependencies: ["LinuxIO", "LinuxProcesses", "TestSupport", system], swiftSettings: ours),
    .testTarget(
      name: "URingTests", dependencies: ["LinuxIO", "TestSupport", "URing", system],
      swiftSettings: ours),
    .testTarget(
      name: "MappedRAMTests",
      dependencies: [
        "LinuxIO", "LinuxProcesses", "MappedRAM", "MappedRAMFormat", "TestSupport", "URing", system,
      ],
      swiftSettings: ours),
    .testTarget(
      name: "QMPTests",
      dependencies: ["LinuxIO", "LinuxProcesses", "MappedRAMFormat", "QMP", "TestSupport", system],
      swiftSettings: ours),
    .testTarget(
      name: "QEMUArgumentsTests",
      dependencies: ["MappedRAMFormat", "QEMUArguments", "TestSupport"], swiftSettings: ours),
    .testTarget(
      name: "QEMUControlTests",
      dependencies: [
        "LinuxIO", "LinuxProcesses", "MappedRAM", "MappedRAMFormat", "QEMUArguments", "QEMUControl",
        "QMP", "TestSupport", system,
      ],
      swiftSettings: ours),
    .testTarget(
      name: "MappedRAMBenchTests",
      dependencies: [
        "LinuxIO", "MappedRAM", "MappedRAMBench", "MappedRAMFormat", "TestSupport", system,
      ],
      swiftSettings: ours),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "LinuxIO", "LinuxProcesses", "MappedRAM", "MappedRAMBench", "MappedRAMCommands",
        "MappedRAMFormat", "QEMUArguments", "QEMUControl", "QMP", "TestSupport", argumentParser,
        system,
      ],
      exclude: ["Snapshots"],
      swiftSettings: ours),
    .testTarget(
      name: "QEMUTests",
      dependencies: [
        "LinuxIO", "LinuxProcesses", "MappedRAM", "MappedRAMFormat", "QEMUArguments", "QEMUControl",
        "QMP", "TestSupport", system,
      ],
      swiftSettings: ours),
  ],
  swiftLanguageModes: [.v6]
)

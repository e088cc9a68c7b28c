// swift-tools-version: 6.2
import PackageDescription

/// What a user of the library writes: the examples of the documentation, in a package of its own.
let package = Package(
  name: "mapped-ram-examples",
  dependencies: [.package(name: "mapped-ram", path: "../..")],
  targets: [
    .executableTarget(
      name: "Images", dependencies: [.product(name: "MappedRAM", package: "mapped-ram")]),
    .executableTarget(
      name: "VMs", dependencies: [.product(name: "QEMUControl", package: "mapped-ram")]),
  ],
  swiftLanguageModes: [.v6]
)

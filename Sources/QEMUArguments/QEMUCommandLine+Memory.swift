/// A memory backend that a command line defines with `-object`.
struct BackendArgument: Equatable {
  /// Which of the command line's arguments defines it.
  var index: Int
  /// Its type, `memory-backend-ram` and the like.
  var type: String
  /// Its id.
  var id: String
  /// All that was said about it.
  var properties: QEMUProperties

  /// The types that a mapping of an image can stand in for.
  static let types = [
    "memory-backend-ram", "memory-backend-file", "memory-backend-memfd", "memory-backend-shm",
  ]

  /// Its size in bytes, where the arguments say it in a way that is understood.
  var byteCount: UInt64? { properties["size"].flatMap { QEMUSize.bytes($0) } }
}

/// What uses a memory backend.
enum MemoryUse: Equatable {
  /// The main memory as a whole.
  case machine
  /// A node of the main memory (`-numa node,memdev=`).
  case node
  /// A device with a `memdev` property, by its driver.
  case device(String)

  /// The driver of a device whose pages cannot be those of a mapped image.
  ///
  /// virtio-mem discards pages that it unplugs and wants zeros when it plugs them again; a file stands behind an
  /// nvdimm; ivshmem is shared with others.
  var refusingDriver: String? {
    if case .device(let driver) = self, driver != "pc-dimm" { driver } else { nil }
  }
}

extension QEMUCommandLine {
  /// The machine type, if the arguments name one.
  package var machineType: String? { machine("type") }

  /// The last value of a property of the machine, of all `-machine` and `-M`: QEMU merges them.
  func machine(_ key: String) -> String? {
    properties(of: "machine", impliedKey: "type").compactMap { $0[key] }.last
  }

  /// The size of the main memory in bytes, if the arguments name one that is understood.
  ///
  /// QEMU merges several `-m`, and rounds up to 8 KiB (tried on QEMU 10.0.2).
  package var memoryByteCount: UInt64? {
    let sizes = properties(of: "m", impliedKey: "size").compactMap { $0["size"] }
    guard let last = sizes.last, let bytes = QEMUSize.bytes(last, unit: 1 << 20) else { return nil }
    let (sum, overflow) = bytes.addingReportingOverflow(8191)
    return overflow ? nil : sum & ~8191
  }

  /// The properties of each option named `name`; without those that are not readable.
  func properties(of name: String, impliedKey: String) -> [QEMUProperties] {
    values(of: name).compactMap { QEMUProperties($0, impliedKey: impliedKey) }
  }

  /// The memory backends of the types that a mapping can stand in for.
  ///
  /// - Throws: `unreadable` for an object in JSON that is not understood.
  func memoryBackends() throws(LaunchRefusal) -> [BackendArgument] {
    var found: [BackendArgument] = []
    for (index, argument) in arguments.enumerated() {
      guard case .option(let option) = argument, option.name == "object", let value = option.value
      else { continue }
      guard let properties = QEMUProperties(value, impliedKey: "qom-type") else {
        throw .unreadable(option: "-object", value: value)
      }
      guard let type = properties["qom-type"], BackendArgument.types.contains(type),
        let id = properties["id"]
      else { continue }
      found.append(BackendArgument(index: index, type: type, id: id, properties: properties))
    }
    return found
  }

  /// The devices of the command line, by their drivers, with their properties.
  ///
  /// - Throws: `unreadable` for a device in JSON that is not understood.
  func devices() throws(LaunchRefusal) -> [(driver: String, properties: QEMUProperties)] {
    var found: [(driver: String, properties: QEMUProperties)] = []
    for value in values(of: "device") {
      guard let properties = QEMUProperties(value, impliedKey: "driver") else {
        throw .unreadable(option: "-device", value: value)
      }
      if let driver = properties["driver"] { found.append((driver, properties)) }
    }
    return found
  }

  /// What a clone's user should know of the generation ID by which its guest knows that it is another VM; `nil` where each gets its own.
  ///
  /// QEMU writes the ID of its own arguments into the guest's memory as it loads the device's state (tried on QEMU 10.0.2); without `guid`
  /// that is a random one.
  package func generationIDNote() throws(LaunchRefusal) -> LaunchNote? {
    guard let device = try devices().first(where: { $0.driver == "vmgenid" }) else {
      return .noGenerationID
    }
    let guid = device.properties["guid"] ?? "auto"
    return guid == "auto" ? nil : .sameGenerationID(guid)
  }

  /// What uses each backend, by the backend's id.
  func memoryUses() throws(LaunchRefusal) -> [String: [MemoryUse]] {
    var uses: [String: [MemoryUse]] = [:]
    if let id = machine("memory-backend") { uses[id, default: []].append(.machine) }
    for node in properties(of: "numa", impliedKey: "type") where node["type"] == "node" {
      if let id = node["memdev"] { uses[id, default: []].append(.node) }
    }
    for device in try devices() {
      if let id = device.properties["memdev"] {
        uses[id, default: []].append(.device(device.driver))
      }
    }
    return uses
  }
}

public import MappedRAMFormat
public import QMP

extension QMPCommand<QMPAnswer> {
  /// `qom-get`: the property `property` of the object `path` (`/machine`, `/objects/ID`, …).
  public static func qomGet(_ path: String, _ property: String) -> Self {
    Self("qom-get", ["path": .string(path), "property": .string(property)]) { $0 }
  }
}

extension QMPCommand<[QOMProperty]> {
  /// `qom-list`: the properties of the object `path`.
  public static func qomList(_ path: String) -> Self {
    Self("qom-list", ["path": .string(path)]) { answer throws(QMPError) in
      try answer.map { property throws(QMPError) in
        QOMProperty(
          name: try property.member("name").string(), type: try property.member("type").string())
      }
    }
  }
}

/// A property of an object in QEMU's object tree.
public struct QOMProperty: Equatable, Sendable {
  /// Its name.
  public var name: String
  /// Its type: `string`, `child<pc-dimm>`, …
  public var type: String

  /// The type of the object that it holds, if it holds one.
  public var child: String? {
    guard type.hasPrefix("child<"), type.hasSuffix(">") else { return nil }
    return String(type.dropFirst(6).dropLast())
  }
}

extension QMPCommand<[MemoryBackend]> {
  /// `query-memdev`: the memory backends that have an id, without their kind and file; better
  /// `QMPConnection.memoryBackends`.
  public static var queryMemoryBackends: Self {
    Self("query-memdev") { answer throws(QMPError) in
      try answer.map { backend throws(QMPError) -> MemoryBackend? in
        guard let id = try backend.optional("id")?.string() else { return nil }
        return MemoryBackend(
          id: id, kind: nil, byteCount: ByteCount(try backend.member("size").unsigned()),
          isShared: try backend.optional("share")?.bool() ?? false)
      }.compactMap { $0 }
    }
  }
}

extension QMPCommand<[MemoryDevice]> {
  /// `query-memory-devices`: memory in slots and on buses.
  public static var queryMemoryDevices: Self {
    Self("query-memory-devices") { answer throws(QMPError) in
      try answer.map { device throws(QMPError) in
        let data = try device.member("data")
        let backend = try data.optional("memdev")?.string()
        return MemoryDevice(
          kind: try device.member("type").string(), id: try data.optional("id")?.string(),
          backend: backend.map { $0.hasPrefix("/objects/") ? String($0.dropFirst(9)) : $0 },
          byteCount: ByteCount(try data.optional("size")?.unsigned() ?? 0),
          // A DIMM's is "addr", a virtio device's "memaddr".
          address: try (data.optional("addr") ?? data.optional("memaddr"))?.unsigned(),
          node: try data.optional("node")?.unsigned())
      }
    }
  }
}

/// Memory in a slot or on a bus.
public struct MemoryDevice: Equatable, Sendable {
  /// QEMU's word: `dimm`, `nvdimm`, `virtio-mem`, `virtio-pmem`, …
  public var kind: String
  /// Its id; `nil` for one without.
  public var id: String?
  /// The id of the backend whose memory it shows.
  public var backend: String?
  /// The memory that the guest can use; of a virtio-mem, what is plugged of it.
  public var byteCount: ByteCount
  /// The guest-physical address at which it begins.
  public var address: UInt64?
  /// The NUMA node that it belongs to.
  public var node: UInt64?
}

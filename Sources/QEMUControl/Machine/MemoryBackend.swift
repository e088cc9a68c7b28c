public import MappedRAMFormat
public import QMP

/// A memory backend of a VM: what a RAMBlock's memory comes from.
public struct MemoryBackend: Equatable, Sendable {
  /// Its id. The backend that QEMU makes for plain `-m` has the name of its block.
  public var id: String
  /// Its type: `memory-backend-ram`, `memory-backend-memfd`, `memory-backend-file`, …; `nil` where
  /// QEMU does not say.
  public var kind: String?
  /// Its size.
  public var byteCount: ByteCount
  /// Whether it is mapped so that other processes can share it.
  public var isShared: Bool
  /// The file of a memory-backend-file, as QEMU sees paths.
  public var file: String?
  /// Where in the file it begins.
  public var fileOffset: UInt64

  /// A backend of its parts.
  package init(
    id: String, kind: String?, byteCount: ByteCount, isShared: Bool, file: String? = nil,
    fileOffset: UInt64 = 0
  ) {
    self.id = id
    self.kind = kind
    self.byteCount = byteCount
    self.isShared = isShared
    self.file = file
    self.fileOffset = fileOffset
  }

  /// Whether `block` is made of this backend, judged by name and size.
  ///
  /// A block is called as its backend, or `/objects/ID` with x-use-canonical-path-for-ramblock-id, or
  /// PATH`/ID` where a device on a bus shows it (virtio-mem: `0000:00:01.0/ID`; seen with QEMU 10.0.2).
  public func isBehind(_ block: GuestBlock) -> Bool {
    block.maxLength == byteCount && (block.idstr == id || block.idstr.hasSuffix("/\(id)"))
  }
}

extension QMPConnection {
  /// All memory backends.
  ///
  /// Throws as `execute(_:)`.
  public func memoryBackends() throws(QMPError) -> [MemoryBackend] {
    try execute(.queryMemoryBackends).map { backend throws(QMPError) in
      var backend = backend
      // The backend of plain -m belongs to the machine, the others to /objects.
      for path in ["/objects/\(backend.id)", "/machine/\(backend.id)"] where backend.kind == nil {
        backend.kind = try property("type", of: path)?.string()
        guard backend.kind == "memory-backend-file" else { continue }
        backend.file = try property("mem-path", of: path)?.string()
        backend.fileOffset = try property("offset", of: path)?.unsigned() ?? 0
      }
      return backend
    }
  }

  /// A property of an object; `nil` if there is no such object or property.
  func property(_ name: String, of path: String) throws(QMPError) -> QMPAnswer? {
    do throws(QMPError) {
      return try execute(.qomGet(path, name))
    } catch {
      // QEMU 10.0.2: DeviceNotFound for the object, GenericError for the property.
      guard case .refused = error else { throw error }
      return nil
    }
  }
}

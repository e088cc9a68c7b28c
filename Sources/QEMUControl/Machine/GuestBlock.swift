public import MappedRAMFormat
public import QMP

/// A RAMBlock of a VM that runs.
public struct GuestBlock: Equatable, Sendable {
  /// Its name in a migration stream; empty for a block that is never migrated.
  public var idstr: String
  /// The bytes that are in use, and that an image holds.
  public var usedLength: ByteCount
  /// The bytes that it can grow to.
  public var maxLength: ByteCount
  /// Where it begins in QEMU's address space; `nil` where QEMU does not say (7.2 does not).
  public var hostAddress: UInt64?
  /// The bytes of the pages that its memory is made of: 4096, or those of a huge page.
  public var pageBytes: UInt64
  /// Where it begins in QEMU's own order of all blocks (`ram_addr_t`); no address of the guest.
  public var offset: UInt64
  /// Whether the guest cannot write to it, as to a ROM; `nil` where QEMU does not say.
  public var isReadOnly: Bool?

  /// A block of its parts.
  public init(
    idstr: String, usedLength: ByteCount, maxLength: ByteCount, hostAddress: UInt64?,
    pageBytes: UInt64 = 4096, offset: UInt64 = 0, isReadOnly: Bool? = nil
  ) {
    self.idstr = idstr
    self.usedLength = usedLength
    self.maxLength = maxLength
    self.hostAddress = hostAddress
    self.pageBytes = pageBytes
    self.offset = offset
    self.isReadOnly = isReadOnly
  }

  /// Whether it has a name, and so a place in an image. QEMU names exactly the blocks that it
  /// migrates (QEMU 10.0, migration/savevm.c, `vmstate_register_ram`).
  public var isMigratable: Bool { !idstr.isEmpty }
}

extension QMPConnection {
  /// All RAMBlocks, in QEMU's order (the largest first, which is the order in a stream).
  ///
  /// Throws as `execute(_:)`; `unexpectedAnswer` for a table that is not understood.
  public func ramBlocks() throws(QMPError) -> [GuestBlock] {
    let name = "x-query-ramblock"
    do throws(QMPError) {
      let answer = QMPAnswer(try execute(name), to: name)
      return try GuestBlock.parse(
        table: try answer.member("human-readable-text").string(), of: name)
    } catch {
      // The command is experimental: a later QEMU may have dropped it.
      guard case .refused(_, "CommandNotFound", _) = error else { throw error }
      let line = "info ramblock"
      return try GuestBlock.parse(table: try humanMonitor(line), of: line)
    }
  }
}

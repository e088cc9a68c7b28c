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
  package init(
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

extension QMPCommand<[GuestBlock]> {
  /// `x-query-ramblock`: all RAMBlocks.
  static var queryRAMBlocks: Self {
    let name = "x-query-ramblock"
    return Self(name) { answer throws(QMPError) in
      try GuestBlock.parse(table: try answer.member("human-readable-text").string(), of: name)
    }
  }
}

extension QMPConnection {
  /// All RAMBlocks, in QEMU's order (the largest first, which is the order in a stream).
  ///
  /// Throws as `execute(_:)`; `unexpectedAnswer` for a table that is not understood.
  public func ramBlocks() throws(QMPError) -> [GuestBlock] {
    try ramBlocks(to: try send(.queryRAMBlocks))
  }

  /// The answer to `queryRAMBlocks`, or where QEMU does not know that, to another question.
  func ramBlocks(to sent: SentCommand<[GuestBlock]>) throws(QMPError) -> [GuestBlock] {
    do throws(QMPError) {
      return try answer(to: sent)
    } catch {
      // The command is experimental: a later QEMU may have dropped it.
      guard case .refused(_, "CommandNotFound", _) = error else { throw error }
      let line = "info ramblock"
      return try GuestBlock.parse(table: try humanMonitor(line), of: line)
    }
  }
}

extension GuestBlock {
  /// Reads the table of `x-query-ramblock` or `info ramblock`.
  ///
  /// Columns from the right, as the name, the first, may be of any form: ro or rw, host address (neither in QEMU 7.2, whose head then
  /// ends before them), total, used, offset, page size with its unit, name. Numbers are hexadecimal (QEMU 7.2.22 and 10.0.2, seen).
  ///
  /// Throws `unexpectedAnswer` with the line that is wrong.
  package static func parse(table: String, of command: String) throws(QMPError) -> [GuestBlock] {
    func fail(_ line: Int, _ expected: String) -> QMPError {
      .unexpectedAnswer(command: command, place: "line \(line)", expected: expected)
    }
    let lines = table.utf8.split { $0 == 0x0A || $0 == 0x0D }
    guard let head = lines.first, Substring(head).contains("Block Name") else {
      throw fail(1, "the head of the table of RAMBlocks")
    }
    guard lines.count - 1 <= ImageLimits.blocks else {
      throw fail(ImageLimits.blocks + 2, "the end: a VM has at most \(ImageLimits.blocks) blocks")
    }
    let hasAddress = Substring(head).contains("HVA")
    var names: Set<String> = []
    var blocks: [GuestBlock] = []
    for (number, line) in zip(2..., lines.dropFirst()) {
      guard let block = GuestBlock(line: Substring(line), hasAddress: hasAddress) else {
        throw fail(
          number,
          hasAddress
            ? "a name, a page size, four numbers and ro or rw"
            : "a name, a page size and three numbers")
      }
      guard block.isPlausible else {
        throw fail(number, "a block that can be: a used length up to the total, in pages of memory")
      }
      guard block.idstr.isEmpty || names.insert(block.idstr).inserted else {
        throw fail(number, "a block with a name of its own")
      }
      blocks.append(block)
    }
    return blocks
  }

  /// Whether the numbers fit each other and the address space.
  private var isPlausible: Bool {
    let (_, overflow) = (hostAddress ?? 1).addingReportingOverflow(maxLength.rawValue)
    return !overflow && hostAddress != 0 && usedLength <= maxLength
      && maxLength <= ImageLimits.ramBytes && pageBytes >= 512 && pageBytes.nonzeroBitCount == 1
      && idstr.utf8.count <= ImageLimits.nameBytes
  }

  /// Reads one line of the table; `nil` for anything else.
  private init?(line: Substring, hasAddress: Bool) {
    var rest = line
    var (isReadOnly, address): (Bool?, UInt64?)
    if hasAddress {
      var last = rest.takeLastWord()
      isReadOnly = last == "ro" ? true : last == "rw" ? false : nil
      if isReadOnly != nil { last = rest.takeLastWord() }
      guard let found = UInt64(hex: last) else { return nil }
      address = found
    }
    guard let total = UInt64(hex: rest.takeLastWord()),
      let used = UInt64(hex: rest.takeLastWord()), let offset = UInt64(hex: rest.takeLastWord()),
      let shift = ["B": 0, "KiB": 10, "MiB": 20, "GiB": 30][rest.takeLastWord()],
      let count = UInt64(rest.takeLastWord()), count <= 1 << 20
    else { return nil }
    self.init(
      idstr: String(rest.drop { $0 == " " }), usedLength: ByteCount(used),
      maxLength: ByteCount(total), hostAddress: address, pageBytes: count << UInt64(shift),
      offset: offset, isReadOnly: isReadOnly)
  }
}

extension Substring {
  /// Takes the last word off, with the spaces around it. Empty where there is none.
  fileprivate mutating func takeLastWord() -> Substring {
    while last == " " { removeLast() }
    let word = suffix(while: { $0 != " " })
    removeLast(word.count)
    while last == " " { removeLast() }
    return word
  }

  /// The longest end whose characters all pass `test`.
  private func suffix(while test: (Character) -> Bool) -> Substring {
    guard let index = lastIndex(where: { !test($0) }) else { return self }
    return self[self.index(after: index)...]
  }
}

extension UInt64 {
  /// The number in `word`, with 0x before it.
  fileprivate init?(hex word: Substring) {
    guard word.hasPrefix("0x"), word.utf8.count > 2, word.utf8.count <= 18,
      word.dropFirst(2).utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") })
    else { return nil }
    self.init(word.dropFirst(2), radix: 16)
  }
}

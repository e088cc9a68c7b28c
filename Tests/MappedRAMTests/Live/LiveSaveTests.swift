import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Live saves of made-up guests that change between rounds.
@Suite struct LiveSaveTests {
  let directory: TemporaryDirectory
  let path: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("image")
  }

  static let shapes: [ChannelOptions] = [
    ChannelOptions(channels: 1, queueDepth: 1, requestBytes: 64 << 10),
    ChannelOptions(channels: 3, queueDepth: 4, requestBytes: 256 << 10),
    ChannelOptions(channels: 2, queueDepth: 32, requestBytes: 1 << 20, method: .sync),
  ]

  /// Exactly `count` rounds before the last one.
  static func rounds(_ count: Int) -> LiveOptions {
    LiveOptions(maximumDowntime: .zero, maximumRounds: count)
  }

  /// Saves `guest`, which `change` changes before each round but the first; `round` counts from 2.
  @discardableResult
  func save(
    _ guest: TestGuest, rounds: Int = 1, options: ChannelOptions = .standard,
    inPlace: Bool = false, factory: (any ChannelIOFactory)? = nil, change: (Int) throws -> Void
  ) throws -> LiveReport {
    let plan = try guest.plan()
    var save = try ImageSave(plan, options: options, factory: factory).begin(
      to: path, inPlace: inPlace, live: Self.rounds(1))
    for round in 1...rounds {
      if round > 1 { try change(round) }
      try save.runRounds()
    }
    try change(rounds + 1)
    let report = try save.writePages(plan).finish()
    return try #require(report.live)
  }

  /// What each block holds now is what the image gives back, and no slot of an absent page holds anything.
  func expectImage(of guest: TestGuest) throws {
    #expect(try restoreToMemory(path) == guest.blocks.indices.map(guest.contents))
    let file = try File.open(path, access: .read, directIO: .off)
    for block in try Image(reading: file).blocks {
      let present = try #require(try block.readBitmap(from: file))
      let slots = try #require(block.layout.pages)
      let pageBytes = block.pageSize.byteCount
      for page in 0..<present.pageCount where !present[page] {
        let bytes = try file.readBytes(
          at: slots.lowerBound.rawValue + UInt64(page * pageBytes), count: pageBytes)
        #expect(bytes.allSatisfy { $0 == 0 }, "page \(page) of \(block.idstr)")
      }
      // As in a stopped save, zero pages are absent.
      let pages = guest.blocks.first { $0.block.idstr == block.idstr }?.pages
      let contents = try #require(pages).allBytes
      for page in 0..<present.pageCount {
        let bytes = contents[(page * pageBytes)..<((page + 1) * pageBytes)]
        #expect(present[page] == bytes.contains { $0 != 0 })
      }
    }
  }

  @Test(arguments: shapes)
  func aGuestThatDoesNotChangeIsWrittenOnce(_ options: ChannelOptions) throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700, 1, 64, 65, 300], using: &generator)
    let report = try save(guest, rounds: 3, options: options) { _ in }
    try expectImage(of: guest)
    #expect(report.rounds.count == 3 && report.rounds[0].changedBytes > 0)
    for round in report.rounds.dropFirst() + [report.lastRound] {
      #expect(round.changedBytes == 0 && round.readBytes == report.rounds[0].readBytes)
    }
    #expect(report.clearedPages == 0)
    #expect(report.hashBytes == (700 + 1 + 64 + 65 + 300) * 16)
  }

  /// The image is that of a stopped save, byte for byte.
  @Test(arguments: shapes)
  func theImageIsThatOfAStoppedSave(_ options: ChannelOptions) throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700, 65], using: &generator)
    try save(guest, rounds: 2, options: options) { _ in
      try change(guest, count: 60, using: &generator)
    }
    let other = directory.file("stopped")
    _ = try ImageSave(guest.plan(), options: options).run(to: other)
    #expect(try sha256(path) == sha256(other))
  }

  /// The guest's processor time at the begin and at the end of a round, and what is made of it.
  @Test(
    arguments: [(3, 5, 2), (nil, 5, nil), (3, nil, nil), (nil, nil, nil)] as [(Int?, Int?, Int?)])
  func whoHasHadTheProcessorsIsToldWhereItIsKnown(begin: Int?, end: Int?, used: Int?) throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [65], using: &generator)
    let times = Monitor([begin, end])
    var save = try ImageSave(guest.plan()).begin(
      to: path, live: Self.rounds(1),
      guestTime: { times.withLock { $0.removeFirst() }.map { .seconds($0) } })
    try save.runRounds()
    #expect(save.rounds.count == 1)
    #expect(save.rounds.first?.processors?.guest == used.map { .seconds($0) })
  }

  /// Each way that a page can go in three rounds, alone and beside others: zero, one content, another one.
  @Test func everyWayOfAPage() throws {
    // 81 ways: contents in the rounds 1, 2, 3 and the last; each page is one of them.
    let ways = (0..<81).map { way in (0..<4).map { way / [1, 3, 9, 27][$0] % 3 } }
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [81 * 3], zeroFraction: 1, using: &generator)
    let pages = guest.blocks[0].pages
    func put(_ round: Int) {
      for page in 0..<(81 * 3) {
        let byte = UInt8(ways[page % 81][round - 1])
        pages.put([UInt8](repeating: byte, count: 8), at: page * 4096 + page % 500 * 8)
      }
    }
    put(1)
    let report = try save(guest, rounds: 3) { put($0) }
    try expectImage(of: guest)
    // A page is written in a round if it is not zero and was another before, or not there.
    for round in 1...4 {
      let count = ways.count { way in
        way[round - 1] != 0 && (round == 1 || way[round - 1] != way[round - 2])
      }
      let found = round == 4 ? report.lastRound : report.rounds[round - 1]
      #expect(found.changedBytes == UInt64(count * 3 * 4096), "round \(round)")
    }
    let freed = ways.count { $0[3] == 0 && $0[..<3].contains { $0 != 0 } }
    #expect(report.clearedPages == freed * 3)
  }

  @Test(arguments: shapes)
  func changesAnywhereAreFound(_ options: ChannelOptions) throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700, 1, 64, 65], using: &generator)
    let faults = Faults { _, _, generator in
      Int.random(in: 0..<3, using: &generator) == 0 ? .short : .none
    }
    for count in [0, 1, 20, 600] {
      try save(guest, rounds: 3, options: options, factory: FaultyFactory(faults: faults)) { _ in
        try change(guest, count: count, using: &generator)
      }
      try expectImage(of: guest)
    }
  }

  /// The first and the last byte of the first and the last page of a word, of an extent and of the block.
  @Test(arguments: [0, 63, 64, 255, 256, 511, 512, 698, 699], [0, 4095])
  func aSingleByteIsEnough(_ page: Int, _ byte: Int) throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700], zeroFraction: 0, using: &generator)
    let report = try save(guest) { _ in
      guest.blocks[0].pages.put([0xA5], at: page * 4096 + byte)
    }
    #expect(report.lastRound.changedBytes == 4096)
    try expectImage(of: guest)
  }

  @Test func aWholeGuestMayBecomeZero() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [300, 40], zeroFraction: 0, using: &generator)
    let report = try save(guest) { _ in
      for (_, pages) in guest.blocks {
        pages.put([UInt8](repeating: 0, count: Int(pages.byteCount)), at: 0)
      }
    }
    #expect(report.clearedPages == 340)
    try expectImage(of: guest)
    let blocks = try Image(reading: File.open(path, access: .read)).blocks
    for block in blocks {
      let slots = try #require(block.layout.pages)
      let range = slots.lowerBound.rawValue..<slots.upperBound.rawValue
      #expect(try File.open(path, access: .read).nextData(in: range) == nil, "all are holes")
    }
  }

  /// Unchanged pages between changed ones may be written once more, with what they hold.
  @Test func nearChangesGoInOneRequest() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [256], zeroFraction: 0, using: &generator)
    let faults = Faults()
    let before = Faults()
    _ = try ImageSave(guest.plan()).run(to: directory.file("other"))
    try save(guest, factory: FaultyFactory(faults: faults)) { _ in
      for page in [10, 12, 17, 22, 28, 255] {
        guest.blocks[0].pages.put([0xA5], at: page * 4096)
      }
    }
    try expectImage(of: guest)
    let slots = try #require(
      try Image(reading: File.open(path, access: .read)).blocks[0].layout.pages)
    let found = faults.writes.map {
      "\((Int($0.offset) - Int(slots.lowerBound.rawValue)) / 4096)+\($0.count / 4096)"
    }
    // 4 pages between are joined, 5 are not.
    #expect(Set(found) == ["0+256", "10+13", "28+1", "255+1"])
    #expect(before.requestCount == 0)
  }

  /// Changes `count` random pages: to zero, or to something else.
  func change(
    _ guest: TestGuest, count: Int, using generator: inout SeededGenerator
  ) throws {
    for _ in 0..<count {
      let (block, pages) = try #require(guest.blocks.randomElement(using: &generator))
      let page = Int.random(in: 0..<block.pageCount, using: &generator)
      if Bool.random(using: &generator) {
        pages.put([UInt8](repeating: 0, count: 4096), at: page * 4096)
      } else {
        let place = Int.random(in: 0..<512, using: &generator) * 8
        pages.put(generator.bytes(8), at: page * 4096 + place)
      }
    }
  }
}

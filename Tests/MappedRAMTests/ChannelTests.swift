import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// The channels, with I/O that misbehaves: whatever happens to single requests, the bytes are right or the error is told.
@Suite struct ChannelTests {
  static let shapes: [ChannelOptions] = [
    ChannelOptions(channels: 1, queueDepth: 1, requestBytes: 64 << 10),
    ChannelOptions(channels: 1, queueDepth: 7, requestBytes: 64 << 10),
    ChannelOptions(channels: 3, queueDepth: 4, requestBytes: 256 << 10),
    ChannelOptions(channels: 2, queueDepth: 32, requestBytes: 1 << 20),
    ChannelOptions(channels: 8, queueDepth: 2, requestBytes: 4 << 20),
  ]

  /// Completions in any order, requests carried out as late as possible, a third of them short: every byte is right.
  @Test(arguments: shapes)
  func shortTransfersInAnyOrderKeepEveryByte(_ options: ChannelOptions) throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [700, 1, 64, 65, 300], using: &generator)
    let faults = Faults { _, _, generator in
      Int.random(in: 0..<3, using: &generator) == 0 ? .short : .none
    }
    let path = directory.file("image")
    var save = ImageSave(try guest.plan(), options: options)
    save.factory = FaultyFactory(faults: faults)
    _ = try save.run(to: path)
    let restored = try restoreToMemory(
      path, options: options, factory: FaultyFactory(faults: faults))
    for index in guest.blocks.indices {
      #expect(restored[index] == guest.contents(index), "block \(index)")
    }
  }

  /// The same plan through a ring and through positioned calls, direct and buffered, gives the same file.
  @Test(arguments: shapes)
  func ringAndPositionedCallsWriteTheSameFile(_ options: ChannelOptions) throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [513, 129], using: &generator)
    var sums: Set<String> = []
    for method in ChannelOptions.IOMethod.allCases {
      for directIO in [DirectIOPolicy.auto, .off] {
        var options = options
        options.method = method
        options.directIO = directIO
        let path = directory.file("\(method)-\(directIO)")
        let report = try ImageSave(try guest.plan(), options: options).run(to: path)
        #expect(report.method == method)
        sums.insert(try sha256(path))
        let restored = try restoreToMemory(path, options: options)
        #expect(restored == guest.blocks.indices.map(guest.contents))
      }
    }
    #expect(sums.count == 1)
  }

  /// An error of any single request, early or late, read or write, is what the restore or save reports.
  @Test(arguments: [1, 2, 5, 17], [true, false])
  func theFirstErrorIsReported(_ number: Int, _ inSave: Bool) throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [2000], zeroFraction: 0, using: &generator)
    let path = directory.file("image")
    let options = ChannelOptions(channels: 2, queueDepth: 3, requestBytes: 64 << 10)
    let faulty = FaultyFactory(
      faults: Faults { count, _, _ in count == number ? .error(.ioError) : .none })
    var save = ImageSave(try guest.plan(), options: options)
    if inSave {
      save.factory = faulty
      #expect { try save.run(to: path) } throws: { isIOError($0) }
      #expect(try names(in: directory).isEmpty, "a failed save leaves no file")
    } else {
      _ = try save.run(to: path)
      #expect {
        try restoreToMemory(path, options: options, factory: faulty)
      } throws: {
        isIOError($0)
      }
    }
  }

  private func isIOError(_ error: any Error) -> Bool {
    guard case .system(let error)? = error as? ImageError else { return false }
    return error.errno == .ioError
  }

  /// A write that moves nothing is an error, not an endless loop; a read that does means that the file was cut off.
  @Test func requestsThatMoveNothingEnd() throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [100], zeroFraction: 0, using: &generator)
    let path = directory.file("image")
    let faulty = FaultyFactory(faults: Faults { _, _, _ in .nothing })
    var save = ImageSave(try guest.plan())
    _ = try save.run(to: path)
    #expect {
      try restoreToMemory(path, factory: faulty)
    } throws: { error in
      if case .endedEarly(let file, _)? = error as? ImageError { file == path } else { false }
    }
    save.factory = faulty
    #expect { try save.run(to: directory.file("second")) } throws: { isIOError($0) }
  }

  /// EINTR and EAGAIN are no errors: the request is made again.
  @Test(arguments: [Errno.interrupted, .resourceTemporarilyUnavailable])
  func passingErrorsAreTriedAgain(_ errno: Errno) throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [300], using: &generator)
    let path = directory.file("image")
    let faults = Faults { count, _, _ in count % 2 == 1 ? .error(errno) : .none }
    var save = ImageSave(try guest.plan())
    save.factory = FaultyFactory(faults: faults)
    _ = try save.run(to: path)
    #expect(
      try restoreToMemory(path, factory: FaultyFactory(faults: faults)) == [guest.contents(0)])
  }

  /// A ring that cannot be had is replaced by positioned calls, and the report says why.
  @Test func refusedIOFallsBackAndSaysSo() throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [300], using: &generator)
    let path = directory.file("image")
    var save = ImageSave(try guest.plan())
    save.factory = RefusingFactory()
    let report = try save.run(to: path)
    #expect(report.method == .sync)
    #expect(
      report.notes.contains(
        .ioUringRefused(
          SystemCallError(call: .io_uring_setup, errno: .notPermitted, subject: .ring))))
    #expect(try restoreToMemory(path) == [guest.contents(0)])
  }

  /// A cancellation stops a save at its next request, and nothing is left.
  @Test func cancellationLeavesNothing() throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [2000], zeroFraction: 0, using: &generator)
    let cancellation = Cancellation()
    let faults = Faults { count, _, _ in
      if count == 3 { cancellation.cancel() }
      return .none
    }
    var save = ImageSave(
      try guest.plan(),
      options: ChannelOptions(channels: 2, queueDepth: 2, requestBytes: 64 << 10))
    save.factory = FaultyFactory(faults: faults)
    #expect(throws: ImageError.cancelled) {
      try save.run(to: directory.file("image"), cancellation: cancellation)
    }
    #expect(faults.requestCount < 20, "channels stop at their next request")
    #expect(try names(in: directory).isEmpty)
  }

  /// What is written is just the runs of pages that are not zero, cut at the request size and at extents.
  @Test func onlyRunsOfNonzeroPagesAreWritten() throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [200], zeroFraction: 1, using: &generator)
    for page in [0, 1, 2, 10, 62, 63, 64, 65, 130] + Array(150..<190) {
      guest.blocks[0].pages.put([7], at: page * 4096 + 4095)
    }
    let faults = Faults()
    var save = ImageSave(
      try guest.plan(), options: ChannelOptions(channels: 2, queueDepth: 4, requestBytes: 64 << 10))
    save.factory = FaultyFactory(faults: faults)
    let path = directory.file("image")
    let report = try save.run(to: path)
    let pages = faults.writes.map { write in
      ((Int(write.offset) - (1 << 20)) / 4096)..<((Int(write.offset) - (1 << 20) + write.count)
        / 4096)
    }
    // An extent has 64 pages here, and a request 16.
    #expect(
      pages == [0..<3, 10..<11, 62..<64, 64..<66, 130..<131, 150..<166, 166..<182, 182..<190])
    #expect(report.presentBytes == 49 * 4096)
    #expect(try dataMap(path).contains { $0.contains(1 << 20) })
  }

  /// Pages that are to be present though they are zero are written, and come back in the restore's bitmap.
  @Test func presentZerosAreWrittenAndFound() throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [200], zeroFraction: 1, using: &generator)
    var forced = PageBitmap(pageCount: 200)
    forced.insert(3..<5)
    forced.insert(199..<200)
    let path = directory.file("image")
    let report = try ImageSave(try guest.plan(presentZeros: [forced])).run(to: path)
    #expect(report.presentBytes == 3 * 4096)
    let target = directory.file("apart")
    let outcome = try DirectoryRestore(
      ImageRestore(try File.open(path, access: .read)), to: target
    ).run()
    #expect(outcome.files == ["ram0.ram", "vmstate.bin", "image.json"])
    let manifest = try DirectoryManifest(readingFrom: target)
    #expect(manifest.blocks[0].presentZeroPages == [[3, 2], [199, 1]])
    let copy = directory.file("copy")
    _ = try ImageSave(SavePlan.ofDirectory(target)).run(to: copy)
    #expect(try sha256(copy) == sha256(path))
    #expect(try dataMap(copy) == dataMap(path))
  }
}

/// The names of what is in a directory.
func names(in directory: TemporaryDirectory) throws -> [String] {
  try Subprocess.succeed(["ls", "-A", directory.path.string]).text
    .split(separator: "\n").map(String.init)
}

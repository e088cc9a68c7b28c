import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

/// How a VM is saved while it runs.
private enum LiveWay: CaseIterable { case rounds, snapshot, qemu }

extension RealQEMU {
  /// Checksums behind the stream, which QEMU knows nothing of.
  @Suite struct ChecksumTests {
    private func root(
      _ image: FilePath, location: SourceLocation = #_sourceLocation
    ) throws -> ContentSum? {
      let outcome = try ImageVerification(at: image).run()
      #expect(outcome.isWhole, "\(outcome.damage)", sourceLocation: location)
      #expect(outcome.chunkCount > 0, sourceLocation: location)
      return outcome.root
    }

    /// A stock QEMU stops before them without a word, with and without channels and direct I/O.
    @Test func aStockQEMUStopsBeforeThem() throws {
      let vm = try SavedVM(VMKind("q35"))
      let apart = try vm.takeApart(to: "apart")
      let copy = vm.directory.file("copy.img")
      var save = ImageSave(try SavePlan.ofDirectory(apart.path))
      save.hasChecksums = true
      _ = try save.run(to: copy)
      _ = try root(copy)
      for load in LoadOptions.allCases { try vm.expectRestored(copy, load) }
    }

    /// One VM, paused: the same contents by capture in either layout, taken apart and put together, and by QEMU itself.
    @Test func onePausedVMHasOneRoot() throws {
      let kind = VMKind("q35")
      let directory = try TemporaryDirectory()
      // A clock that follows the host's has another time in each image.
      var configuration = kind.configuration(in: directory)
      configuration.arguments += ["-rtc", "clock=vm"]
      let qemu = try QEMU(configuration)
      try qemu.waitForGuestLines(2)
      try qemu.stop()
      var roots: [ContentSum?] = []
      for layout in [SlotLayout.qemu, .hugePages] {
        let image = directory.file("\(layout.rawValue).img")
        let report = try qemu.saveVM(to: image) {
          $0.engine = .capture
          $0.layout = layout
          $0.hasChecksums = true
        }
        #expect(report.transfer.hasChecksums)
        roots.append(try root(image))
      }
      let report = try qemu.saveVM(to: directory.file("qemu.img")) {
        $0.engine = .qemu
        $0.hasChecksums = true
      }
      #expect(report.transfer.hasChecksums)
      roots.append(try root(directory.file("qemu.img")))
      // It says what it is of as well, as a capture does.
      let facts = try Image(at: directory.file("qemu.img")).facts
      #expect(facts?.commandLine.isEmpty == false)
      #expect(facts?.commandLine == (try Image(at: directory.file("1M.img")).facts)?.commandLine)
      for (name, layout) in [("1M.img", SlotLayout.hugePages), ("qemu.img", .qemu)] {
        let parts = directory.file("parts of \(name)")
        _ = try DirectoryRestore(
          ImageRestore(File.open(directory.file(name), access: .read)), to: parts
        ).run()
        var save = ImageSave(try SavePlan.ofDirectory(parts, slots: layout))
        save.hasChecksums = true
        let copy = directory.file("copy of \(name)")
        _ = try save.run(to: copy)
        roots.append(try root(copy))
      }
      #expect(Set(roots).count == 1, "\(roots)")
    }

    /// Images that share blocks with the one before: each loads alone, also in a stock QEMU.
    @Test(
      .enabled(if: LoopDevice.isAvailable, "needs loop devices"),
      arguments: [MountedFileSystem.Kind.xfs, .btrfs])
    func imagesWithABaseAreWhole(on fileSystem: MountedFileSystem.Kind) throws {
      let kind = VMKind("q35")
      let place = try MountedFileSystem(fileSystem, mebibytes: 1024)
      let directory = try TemporaryDirectory()
      let qemu = try QEMU(kind.configuration(in: directory))
      try qemu.waitForGuestLines(2)
      func image(_ number: Int) -> FilePath { place.path.appending("\(number).img") }
      for number in 0...3 {
        let report = try qemu.saveVM(to: image(number)) {
          $0.engine = .capture
          $0.hasChecksums = true
          if number > 0 { $0.base = image(number - 1) }
          // The last one is that of the VM as it is restored.
          $0.afterwards = number < 3 ? .resume : .pause
        }
        #expect(report.transfer.base?.obstacle == nil)
        if number > 0 {
          let shared = try #require(report.transfer.base?.sharedBytes)
          #expect(shared > report.transfer.presentBytes / 2, "\(report.transfer)")
        }
        if number < 3 { try qemu.waitForGuestLines(3 + number) }
      }
      for number in 0..<3 { try Subprocess.succeed(["rm", image(number).string]) }
      _ = try root(image(3))
      for engine in restoreEngines {
        try restoring(image(3), by: engine, into: kind.configuration(in: directory), then: .pause) {
          restored in
          try restored.qmp.execute(.cont)
          try restored.expectGuestGoesOn(from: qemu)
        }
      }
    }

    /// What is saved live has them in each way, and each engine restores the image.
    @Test(arguments: LiveWay.allCases) fileprivate func aLiveSaveHasThem(_ way: LiveWay) throws {
      let kind = VMKind("q35")
      let directory = try TemporaryDirectory()
      let qemu = try QEMU(kind.configuration(in: directory))
      try qemu.waitForGuestLines(2)
      let image = directory.file("image")
      let report = try qemu.saveVM(to: image) {
        $0.engine = way == .qemu ? .qemu : .capture
        $0.afterwards = way == .snapshot ? .resume : .pause
        $0.live = LiveOptions()
        $0.liveMethod = way == .snapshot ? .snapshot : .rounds
        $0.hasChecksums = true
      }
      #expect(report.transfer.hasChecksums)
      _ = try root(image)
      // It has run on since: `VMSaveProtectedTests` restores such images.
      guard way != .snapshot else { return }
      for engine in restoreEngines {
        try restoring(image, by: engine, into: kind.configuration(in: directory), then: .pause) {
          restored in
          try restored.qmp.execute(.cont)
          try restored.expectGuestGoesOn(from: qemu)
        }
      }
    }

    /// An image of a paused VM with checksums.
    private func saved(_ qemu: QEMU, in directory: TemporaryDirectory) throws -> FilePath {
      try qemu.waitForGuestLines(2)
      try qemu.stop()
      let image = directory.file("image")
      _ = try qemu.saveVM(to: image) {
        $0.engine = .capture
        $0.hasChecksums = true
      }
      return image
    }

    /// Flips a bit at `offset`.
    private func damage(_ image: FilePath, at offset: UInt64) throws {
      let file = try File.open(image, access: .readWrite, directIO: .off)
      try file.write([try file.readBytes(at: offset, count: 1)[0] ^ 0x10], at: offset)
    }

    /// Compared by each engine, the guest goes on.
    @Test(arguments: restoreEngines) func whatIsComparedIsRestored(_ engine: VMRestore.Engine)
      throws
    {
      let kind = VMKind("q35")
      let directory = try TemporaryDirectory()
      let qemu = try QEMU(kind.configuration(in: directory))
      let image = try saved(qemu, in: directory)
      // What closes the areas is not needed.
      let size = try File.open(image, access: .read, directIO: .off).size()
      for isDamaged in [false, true] {
        if isDamaged { try damage(image, at: size - 4) }
        try restoring(
          image, by: engine, into: kind.configuration(in: directory), then: .pause, verifies: true
        ) { restored in
          try restored.qmp.execute(.cont)
          try restored.expectGuestGoesOn(from: qemu)
        }
      }
    }

    /// A damaged page never reaches a running guest: of a block that the channels place, of one that goes through the stream; nor does the
    /// damaged state of a device.
    @Test(arguments: restoreEngines) func whatIsDamagedNeverRuns(_ engine: VMRestore.Engine) throws
    {
      let kind = VMKind("q35")
      let directory = try TemporaryDirectory()
      let qemu = try QEMU(kind.configuration(in: directory))
      let image = try saved(qemu, in: directory)
      let read = try Image(at: image)
      let blocks = read.blocks.filter { ($0.pagesPresent ?? 0) > 0 }
      let places = try [
        blocks.max { $0.usedLength < $1.usedLength }, blocks.min { $0.usedLength < $1.usedLength },
      ].map { block in
        let block = try #require(block)
        let file = try File.open(image, access: .read, directIO: .off)
        let slots = try #require(block.layout.pages?.lowerBound)
        let page = try #require(
          try block.readBitmap(from: file)?.runs.first { _ in true }?.lowerBound)
        return slots.rawValue + UInt64(page) << 12 + 100
      }
      let device = try #require(read.sections.last { $0.type == .full })
      for place in places + [device.body.lowerBound.rawValue + 1] {
        try damage(image, at: place)
        defer { try? damage(image, at: place) }
        let other = try TemporaryDirectory()
        #expect {
          try restoring(
            image, by: engine, into: kind.configuration(in: other), in: other, then: .resume,
            verifies: true
          ) { _ in }
        } throws: { error in
          if case .image(.contents(image, .damaged(let damage)))? = error as? VMError {
            damage.contains { $0.place?.contains(FileOffset(place)) ?? false }
          } else {
            false
          }
        }
        #expect(try processes(naming: other) == [])
        guard engine != .map else { continue }
        let waiting = try QEMU(kind.configuration(in: other).destination)
        var restore = VMRestore()
        restore.engine = engine
        restore.afterwards = .resume
        restore.verifies = true
        let connection = try QMPConnection(connecting: waiting.qmpSocket)
        #expect(throws: VMError.self) {
          try restore.run(try RestoreSource(image), into: connection)
        }
        #expect(try connection.execute("query-status")["running"]?.bool == false)
      }
    }

    @Test func withoutChecksumsNothingIsCompared() throws {
      let vm = try SavedVM(VMKind("q35"))
      #expect(throws: VMError.image(.contents(vm.image, .noSums))) {
        try restoring(
          vm.image, by: .place, into: vm.kind.configuration(in: vm.directory), verifies: true
        ) { _ in }
      }
    }
  }
}

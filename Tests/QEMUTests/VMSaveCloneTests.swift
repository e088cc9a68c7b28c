import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUArguments
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Saves of VMs that run on an image.
  @Suite struct VMSaveCloneTests {
    /// 64 MiB, of which the guest has filled 8 but for one page in eight, and changes 2 all the time.
    private static let kind = VMKind("sparse", mebibytes: 64) {
      $0.guest = BootSectorGuest(
        end: 0x80_0000, seed: 0x5EED_0000, churn: 0x80_0000..<0xA0_0000)
    }

    /// The pages of the image that are in memory.
    private func cached(_ image: FilePath) throws -> Int {
      let file = try File.open(image, access: .read, directIO: .off)
      let size = Int(try file.size())
      let mapping = try Mapping(file, range: 0..<UInt64(size), mode: .read)
      return try stride(from: 0, to: size, by: 4096).count { place in
        try mapping.residentCount(of: place..<min(place + 4096, size)) > 0
      }
    }

    /// What QEMU has of the image in its own memory, in KiB, and of copies.
    private func resident(_ image: FilePath, in process: Int32?) throws -> [Int] {
      let process = try #require(process)
      let lines = try ProcessText.lines(of: FilePath("/proc/\(process)/smaps"))
      var isImage = false
      var found: [String: Int] = [:]
      for line in lines.map({ String(decoding: $0, as: UTF8.self) }) {
        let words = line.split(separator: " ")
        if words[0].contains("-") { isImage = line.hasSuffix(image.string) }
        if isImage, words.count > 1, let count = Int(words[1]) {
          found[String(words[0]), default: 0] += count
        }
      }
      return try [#require(found["Rss:"]), #require(found["Anonymous:"])]
    }

    /// A save by capture reads from outside what the VM has changed, and the rest from the image: nothing comes into its memory, or into
    /// the page cache.
    @Test func aSaveOfACloneTouchesNothing() throws {
      let vm = try SavedVM(Self.kind)
      let again = vm.directory.file("again.img")
      try restoring(
        vm.image, by: .map, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        try restored.waitForLineEnds(2)
        try restored.qmp.execute(.stop)
        let process = restored.report.processID
        let before = (try cached(vm.image), try resident(vm.image, in: process))
        #expect(before.1[1] > 0)
        let report = try VMSave.watched(to: again).run(restored.qmp)
        #expect(report.engine == .capture)
        #expect(try cached(vm.image) == before.0)
        #expect(try resident(vm.image, in: process) == before.1)
        let read = report.transfer.totals.bytesRead
        #expect(read < 16 << 20, "\(read)")
        try restored.qmp.execute(.cont)
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
      // What QEMU says is in the memory of the clone is checked by the guest itself, which sums it.
      try restoring(
        again, by: .place, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        try restored.waitForLineEnds(3)
        #expect(try Self.sums(on: restored.serial) == [vm.qemu.guestSum])
      }
    }

    /// The sums that a restored guest has printed, without the rest of a line that it was in when it was saved.
    private static func sums(on serial: String) throws -> Set<UInt32> {
      let whole = serial.drop { $0 != "\n" }.dropFirst()
      return Set(try BootSectorGuest.lines(of: String(whole)).map(\.sum))
    }

    /// On a full tmpfs, where each page of a hole that is touched would end the VM.
    @Test(
      .enabled(if: SmallFileSystem.isPermitted, "needs root and mount"), arguments: [false, true])
    func aSaveOfACloneTakesNoRoom(isLive: Bool) throws {
      let vm = try SavedVM(Self.kind)
      let files = try SmallFileSystem(byteCount: 32 << 20)
      let image = files.file("image")
      try Subprocess.succeed(["cp", "--sparse=always", vm.image.string, image.string])
      let again = vm.directory.file("again.img")
      // The restore says that there is less room than the guest could need.
      let rest = UInt64(try files.freeByteCount())
      guard
        case .imageInMemory(path: image.string, available: rest, neededAtMost: let needed)? =
          try RestoreSource(image).mappingNotes.first
      else { throw HarnessError("no note") }
      #expect(needed > 50 << 20 && needed < 64 << 20)
      #expect(try RestoreSource(vm.image).mappingNotes.isEmpty)
      try restoring(
        image, by: .map, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        try restored.waitForLineEnds(2)
        try Data(count: files.freeByteCount()).write(
          to: URL(fileURLWithPath: files.file("rest").string))
        try #require(try files.freeByteCount() == 0)
        let used = try files.usedByteCount()
        var save = VMSave.watched(to: again)
        if isLive { save.live = LiveOptions() }
        #expect(try save.run(restored.qmp).engine == .capture)
        #expect(try files.usedByteCount() == used)
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
      try restoring(
        again, by: .place, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        try restored.waitForLineEnds(3)
        #expect(try Self.sums(on: restored.serial) == [vm.qemu.guestSum])
      }
    }

    /// What a save of a clone would take is what the image has, and what the VM has changed.
    @Test func theForecastOfACloneIsThatOfItsImage() throws {
      let vm = try SavedVM(Self.kind)
      try restoring(
        vm.image, by: .map, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        try restored.waitForLineEnds(2)
        let found = try VMInspection(of: restored.qmp)
        let main = try #require(found.memory.first { $0.block.idstr == "pc.ram" })
        let most = try #require(found.save.diskBytesAtMost)
        #expect(main.savedBytesAtMost >= 7 << 20 && main.savedBytesAtMost < 14 << 20)
        #expect(most < 20 << 20)
      }
    }
  }
}

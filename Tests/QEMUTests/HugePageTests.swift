import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Images of the layout for huge pages: VMs that run on them have their memory by huge pages, and a stock QEMU loads them.
  @Suite struct HugePageTests {
    @Test(
      .enabled(
        if: LoopDevice.isAvailable && FileHugePages.areMapped(on: .ext4),
        "the kernel has no huge pages of ext4 (Linux 6.16), or no loop devices"))
    func aVMRunsOnHugePagesOfExt4() throws { try expectHugePages(on: .ext4) }

    @Test(
      .enabled(
        if: LoopDevice.isAvailable && FileHugePages.areMapped(on: .xfs),
        "the kernel has no huge pages of XFS, or no loop devices"))
    func aVMRunsOnHugePagesOfXFS() throws { try expectHugePages(on: .xfs) }

    /// 64 MiB, of which nothing is in the page cache: what is read is mapped by huge pages, for a twentieth of the page faults.
    private func expectHugePages(on kind: MountedFileSystem.Kind) throws {
      let place = try MountedFileSystem(kind)
      // Of no multiple of a huge page the rest would be smaller pages.
      try place.device?.setReadAhead(kibibytes: 4096)
      let vm = VMKind("64 MiB", mebibytes: 64)
      let source = try QEMU(vm.configuration)
      try source.waitForGuestLines(2)
      var faults: [SlotLayout: Int] = [:]
      for slots in SlotLayout.allCases {
        let image = place.path.appending("\(slots.rawValue).img")
        let report = try source.saveVM(to: image) {
          $0.layout = slots
          $0.afterwards = .pause
        }
        #expect(report.layout == slots)
        try Self.forget(image)
        try restoring(image, by: .map, into: vm.configuration, then: .pause) { restored in
          let process = try #require(restored.report.processID)
          let before = try Self.faults(of: process)
          try restored.expectMemory(of: source, at: vm.memory)
          faults[slots] = try Self.faults(of: process) - before
          let mapping = try Self.mapping(of: image, in: process)
          let (read, huge) = try (
            #require(mapping["Rss"]), #require(mapping["FilePmdMapped"])
          )
          #expect(read >= 60 << 10)
          if slots == .hugePages { #expect(huge * 100 >= read * 95, "\(mapping)") }
          try restored.qmp.execute(.cont)
          try restored.expectGuestGoesOn(from: source)
        }
      }
      let (few, many) = try (#require(faults[.hugePages]), #require(faults[.qemu]))
      #expect(few * 20 <= many, "\(few) and \(many) page faults")
    }

    /// A block behind whose last huge page there are other pages: QEMU maps more than the guest has.
    @Test func aVMWhoseMemoryIsNoMultipleRunsOnIt() throws {
      let vm = try SavedVM(VMKind("9 MiB", mebibytes: 9))
      let image = vm.directory.file("huge.img")
      _ = try ImageSave(SavePlan.ofDirectory(vm.takeApart(to: "apart").path, slots: .hugePages))
        .run(to: image)
      try restoring(image, by: .map, into: vm.kind.configuration(in: vm.directory), then: .pause) {
        restored in
        #expect(restored.way(of: "pc.ram") == .mapped)
        try restored.expectMemory(of: vm.qemu, at: vm.kind.memory)
        try restored.qmp.execute(.cont)
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
    }

    /// Put together from what a stock QEMU has saved, and loaded by it again, in all ways.
    @Test(
      arguments: [
        VMKind("q35"), VMKind("microvm", machine: "microvm"), VMKind.numa(),
        VMKind("offset 4096", migration: .init(offset: 4096)),
      ])
    func aStockQEMULoadsThem(_ kind: VMKind) throws {
      let vm = try SavedVM(kind)
      let apart = try vm.takeApart(to: "apart")
      let image = vm.directory.file("huge.img")
      _ = try ImageSave(SavePlan.ofDirectory(apart.path, slots: .hugePages)).run(to: image)
      for load in LoadOptions.allCases {
        try vm.expectRestored(image, at: kind.migration.offset, load)
      }
      let engines = kind.migration.offset == 0 ? restoreEngines : []
      for engine in engines {
        try restoring(
          image, by: engine, into: kind.configuration(in: vm.directory), then: .resume
        ) { try $0.expectGuestGoesOn(from: vm.qemu) }
      }
    }

    /// QEMU writes no other layout than its own: it is not asked to, whether it or nobody was named.
    @Test(arguments: [VMSave.Engine.qemu, .auto])
    func whatOnlyACaptureWritesIsNotLeftToQEMU(engine: VMSave.Engine) throws {
      let directory = try TemporaryDirectory()
      let source = try QEMU(.small)
      try source.waitForGuestLines(2)
      let image = directory.file("vm.img")
      let error = #expect(throws: VMError.self) {
        try source.saveVM(to: image) {
          $0.engine = engine
          $0.layout = .hugePages
          // Of another program: what is found there is not QEMU's memory.
          if engine == .auto { $0.processID = getpid() }
        }
      }
      guard case .layoutByQEMU(let obstacles) = error else {
        throw HarnessError("\(String(describing: error))")
      }
      #expect(obstacles.isEmpty == (engine == .qemu))
      #expect(try directory.names() == [])
      try source.expectGoesOn()
      // Where none was asked for, it does.
      let report = try source.saveVM(to: image) {
        $0.engine = engine
        if engine == .auto { $0.processID = getpid() }
      }
      #expect(report.engine == .qemu && report.layout == .qemu)
      #expect(try Image(at: image).slots == .qemu)
    }

    /// Has the kernel drop what it keeps of a file.
    private static func forget(_ image: FilePath) throws {
      try Subprocess.succeed(["sync", image.string])
      try Subprocess.succeed(["dd", "if=\(image)", "iflag=nocache", "count=0", "status=none"])
    }

    /// Page faults of a process so far.
    private static func faults(of process: Int32) throws -> Int {
      let text = text(of: FilePath("/proc/\(process)/stat"))
      let end = try #require(text.lastIndex(of: ")"))
      let fields = text[end...].split(separator: " ")
      return try #require(Int(fields[8])) + (try #require(Int(fields[10])))
    }

    /// Of the mapping of `image` in a process: kB by their names in smaps.
    private static func mapping(of image: FilePath, in process: Int32) throws -> [String: Int] {
      var found: [String: Int] = [:]
      var isInside = false
      // Foundation gives nothing of such a file.
      for bytes in try ProcessText.lines(of: FilePath("/proc/\(process)/smaps")) {
        let line = String(decoding: bytes, as: UTF8.self)
        let words = line.split(separator: " ")
        guard let first = words.first, first.last == ":" else {
          isInside = line.hasSuffix(image.string)
          continue
        }
        if isInside, words.last == "kB", let number = Int(words[1]) {
          found[String(first.dropLast()), default: 0] += number
        }
      }
      return found
    }
  }
}

import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Guests that run on the image itself.
  @Suite struct VMRestoreCloneTests {
    /// Five at once, each of which writes to its memory, leave every byte of the image as it is.
    @Test(arguments: [false, true])
    func fiveGuestsRunOnOneImage(isLive: Bool) throws {
      let vm = try SavedVM(
        VMKind("churning", machine: isLive ? "pc" : "q35", isLive: isLive))
      let before = try Self.sum(vm.image)
      try expectFive(vm, 5)
      #expect(try Self.sum(vm.image) == before)
    }

    /// As many as a host of templates has: they start and end, the image stays, and it is free again only after the last.
    @Test func manyStandOnOneImage() throws {
      let vm = try SavedVM(VMKind("q35"))
      let before = try Self.state(vm.image)
      let file = try File.open(vm.image, access: .read, directIO: .off)
      try expectStanding(vm, 64, lockedBy: file)
      try file.lock(.exclusive)
      #expect(try Self.state(vm.image) == before)
    }

    /// Starts `count` that stand still, one inside the other's life; the innermost then goes on.
    private func expectStanding(_ vm: SavedVM, _ count: Int, lockedBy file: File) throws {
      try restoring(
        vm.image, by: .map, into: vm.kind.configuration(in: vm.directory),
        then: count == 1 ? .resume : .pause
      ) { restored in
        if count > 1 {
          try expectStanding(vm, count - 1, lockedBy: file)
        } else {
          try restored.expectGuestGoesOn(from: vm.qemu)
        }
        #expect(throws: SystemCallError.self) { try file.lock(.exclusive) }
      }
    }

    /// Whoever restores, and whatever is in the image: it stays as it is, byte for byte and block for block.
    @Test(arguments: restoreEngines, [false, true])
    func anImageIsNotChanged(by engine: VMRestore.Engine, isLive: Bool) throws {
      let vm = try SavedVM(
        VMKind("churning", machine: isLive ? "pc" : "q35", isLive: isLive))
      let before = try Self.state(vm.image)
      try restoring(
        vm.image, by: engine, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
      #expect(try Self.state(vm.image) == before)
    }

    /// A VM that runs on the image keeps others from writing into it, as long as it runs.
    @Test func nobodyWritesIntoAnImageThatAVMRunsOn() throws {
      let vm = try SavedVM(VMKind("q35"))
      let before = try Self.state(vm.image)
      let other = try QEMU(.small)
      try other.waitForGuestLines(2)
      func isLocked(_ body: () throws -> Void) -> Bool {
        do {
          try body()
          return false
        } catch VMError.image(.system(let error)) {
          return error.call == .flock && error.errno == .wouldBlock
        } catch {
          return false
        }
      }
      try restoring(
        vm.image, by: .map, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        for engine in [VMSave.Engine.capture, .qemu] {
          #expect(
            isLocked {
              _ = try other.saveVM(to: vm.image) {
                $0.engine = engine
                $0.inPlace = true
              }
            })
        }
        #expect(try Tool.run(["compact", vm.image.string]).status == 73)
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
      #expect(try Self.state(vm.image) == before)
      try other.expectGoesOn()
      _ = try other.saveVM(to: vm.image) { $0.inPlace = true }
      #expect(try Image(reading: File.open(vm.image, access: .read)).isComplete)
    }

    /// An image with much to hide is refused by map, and the VM is told what to do instead.
    @Test func muchThatIsStaleIsRefused() throws {
      let vm = try Self.withStaleSlots()
      let before = try Self.state(vm.image)
      #expect {
        try restoring(
          vm.image, by: .map, into: vm.kind.configuration(in: vm.directory),
          clearing: 0
        ) { _ in }
      } throws: {
        guard case .cannotMap(.staleSlots(vm.image, let found, 0)) = $0 as? VMError
        else { return false }
        return found > 0
      }
      #expect(try Self.state(vm.image) == before)
    }

    /// A QEMU that goes on waiting after a refusal does not keep the image: what is advised can be done, and the restore made again.
    @Test func aRefusalGivesTheImageBack() throws {
      let vm = try Self.withStaleSlots()
      let block = try #require(
        try Image(reading: File.open(vm.image, access: .read)).blocks.first {
          $0.idstr == "pc.ram"
        })
      let pages = try #require(block.layout.pages)
      let waiting = try QEMU(
        vm.kind.configuration(in: vm.directory).with {
          $0.machine += ",memory-backend=pc.ram"
          $0.arguments += [
            "-object",
            "memory-backend-file,id=pc.ram,mem-path=\(vm.image),offset=\(pages.lowerBound.rawValue),"
              + "size=\(block.usedLength.rawValue),share=off,readonly=on,rom=off",
          ]
        }.destination)
      var restore = VMRestore()
      restore.engine = .map
      restore.afterwards = .resume
      restore.clearedBytesLimit = 0
      func run() throws {
        _ = try restore.run(
          try RestoreSource(vm.image), into: try QMPConnection(connecting: waiting.qmpSocket))
      }
      let error = #expect(throws: VMError.self) { try run() }
      guard case .cannotMap(.staleSlots(vm.image, _, limit: 0)) = error else {
        throw HarnessError("\(String(describing: error))")
      }
      let file = try File.open(vm.image, access: .read)
      try file.lock(.exclusive)
      // While somebody writes into the image nobody may run on it.
      #expect {
        try run()
      } throws: {
        guard case .system(let error) = $0 as? VMError else { return false }
        return error.call == .flock && error.errno == .wouldBlock
      }
      try file.lock(.shared)
      restore.clearedBytesLimit = .max
      try run()
      #expect(throws: SystemCallError.self) { try file.lock(.exclusive) }
      try waiting.waitForGuestLines(2)
    }

    /// A VM with an image in which an absent page has old contents, as live saves leave them, if the guest is so kind.
    private static func withStaleSlots() throws -> SavedVM {
      let vm = try SavedVM(VMKind("q35"))
      let file = try File.open(vm.image, access: .readWrite, directIO: .off)
      var places: [UInt64] = []
      _ = try Image(reading: file) { (block, bitmap) throws(ImageError) in
        guard block.idstr == "pc.ram", let pages = block.layout.pages else { return }
        places = (0..<bitmap.pageCount).filter { !bitmap[$0] }.prefix(3)
          .map { pages.lowerBound.rawValue + UInt64($0) * 4096 }
      }
      try #require(!places.isEmpty)
      for place in places { try file.write([UInt8](repeating: 0xA5, count: 4096), at: place) }
      return vm
    }

    /// The bytes, the room on the disk and the time of the last change.
    private static func state(_ path: FilePath) throws -> String {
      try Subprocess.succeed(
        ["sh", "-c", "sha256sum '\(path)'; stat -c '%b %s %y %i' '\(path)'"]
      ).text
    }

    private func expectFive(_ vm: SavedVM, _ count: Int) throws {
      guard count > 0 else { return }
      try restoring(
        vm.image, by: .map, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        #expect(restored.way(of: "pc.ram") == .mapped)
        try expectFive(vm, count - 1)
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
    }

    /// Where the image cannot be written to, stale slots stay in it, and zeros are put into the VM.
    @Test(.enabled(if: Unprivileged.isAvailable, "needs root and setpriv"))
    func imageThatCannotBeWrittenToIsMapped() throws {
      let vm = try SavedVM(VMKind("live", isLive: true))
      let directory = try TemporaryDirectory()
      try directory.give(to: Unprivileged.nobody)
      let serial = directory.file("serial").string
      let image = directory.file("image")
      try Subprocess.succeed(["cp", "--sparse=always", vm.image.string, image.string])
      try Subprocess.succeed(["chmod", "444", image.string])
      let before = try Self.sum(image)
      let words = try vm.kind.configuration(in: directory).words(in: directory)
      try Subprocess.succeed(["chmod", "644", directory.file("firmware.bin").string])
      let command = try RunningTool(
        prefix: Unprivileged.prefix(),
        ["restore", "--engine", "map", "--then", "resume", image.string, "--"] + words)
      try waitUntil { text(of: FilePath(serial)).utf8.count { $0 == 0x0A } >= 4 }
      command.send(SIGTERM)
      #expect(try command.wait() == 0)
      #expect(command.errors.contains("mapped from the image"))
      try expectLines(of: vm.qemu.serial + text(of: FilePath(serial)), sum: vm.qemu.guestSum)
      #expect(try Self.sum(image) == before)
    }

    private static func sum(_ path: FilePath) throws -> String {
      try Subprocess.succeed(["sha256sum", path.string]).text
    }
  }
}

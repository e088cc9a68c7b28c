import Foundation
import Glibc
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Live saves by a snapshot that end early, at any moment, again and again: the VM runs on, with all that it had.
  @Suite struct VMSaveProtectedEndTests {
    private let words = [
      "--engine", "capture", "--live", "--live-method", "snapshot", "--io", "sync",
    ]

    /// Ends a save of `qemu` to `image` at a moment of `generator`, by the signal `number`, and waits for the way back.
    private func endSave(
      of qemu: QEMU, to image: FilePath, by number: CInt, within microseconds: UInt32,
      before: VMState, _ generator: inout SeededGenerator, statuses: [Int32] = []
    ) throws {
      let tool = try RunningTool(saving: qemu, to: image, words)
      usleep(.random(in: 0..<microseconds, using: &generator))
      tool.send(number)
      let status = try tool.wait()
      #expect(([0, 130, 128 + SIGKILL] + statuses).contains(status), "\(tool.errors)")
      do {
        try qemu.wait(for: "the way back", seconds: 40) { try qemu.state() == before }
      } catch {
        // Where QEMU has ended, this is all that is left of it.
        throw HarnessError("\(error), by \(number): \(qemu.log) \(tool.errors)")
      }
      try? FileManager.default.removeItem(atPath: image.string)
    }

    /// A guest that changes all of its memory.
    @Test(arguments: [nil, QEMU.Configuration.Backend.memfd(isShared: true)])
    func atAnyMoment(memory: QEMU.Configuration.Backend?) throws {
      let vm = try LiveVM(VMKind.busy(44, memory: memory).configuration)
      var generator = SeededGenerator()
      for number in 0..<12 {
        try endSave(
          of: vm.qemu, to: vm.image, by: number % 3 == 0 ? SIGINT : SIGKILL, within: 300_000,
          before: vm.before, &generator)
        try vm.expectAsBefore(says: true)
      }
    }

    /// A file system that is full before the image is whole: each save fails by itself, or is killed before.
    @Test(.enabled(if: SmallFileSystem.isPermitted, "needs root and mount"))
    func onAFullDisk() throws {
      let vm = try LiveVM(VMKind.busy(44).configuration, space: 24 << 20)
      var generator = SeededGenerator()
      for number in 0..<8 {
        if number % 2 == 0 {
          let tool = try RunningTool(saving: vm.qemu, to: vm.image, words)
          #expect(try tool.wait() == 74, "\(tool.errors)")
          #expect(tool.errors.contains("No space left"), "\(tool.errors)")
        } else {
          try endSave(
            of: vm.qemu, to: vm.image, by: SIGKILL, within: 300_000, before: vm.before,
            &generator, statuses: [74])
        }
        try vm.expectAsBefore(says: true)
      }
    }

    /// A Linux whose disk and network move data into the protected memory all the time.
    @Test(.enabled(if: LinuxGuest.isAvailable, "needs the Linux guest: run Tests/install-qemu"))
    func withDisksUnderLoad() throws {
      let directory = try TemporaryDirectory()
      let disk = directory.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1)
      let vm = try QEMU(LinuxGuest().configuration(disk: disk))
      try vm.waitForMoreTicks(2)
      let before = try vm.state()
      var generator = SeededGenerator()
      for number in 0..<10 {
        try endSave(
          of: vm, to: directory.file("vm.img"), by: number % 2 == 0 ? SIGINT : SIGKILL,
          within: 800_000, before: before, &generator)
        try vm.waitForMoreTicks(2)
      }
      let ticks = try LinuxGuest.ticks(of: vm.serial)
      #expect(ticks.allSatisfy { $0.disk == "ok" && $0.network == "ok" })
      #expect(Set(ticks.map(\.sum)).count == 1)
      #expect(ticks.map(\.count) == Array(1...ticks.count))
    }
  }
}

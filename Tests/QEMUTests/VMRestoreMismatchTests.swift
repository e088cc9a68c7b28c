import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// VMs that are not the one that the image needs: each difference is named, and nothing was touched.
  @Suite struct VMRestoreMismatchTests {
    /// A VM that differs from a q35 of 8 MiB with VGA and two processors, and what is to be said.
    struct Other: Sendable, CustomStringConvertible {
      var description: String
      var arguments: String
      var mismatches: [String]
    }

    static let others: [Other] = [
      Other(
        description: "machine type", arguments: "-M pc -m 8M -smp 2 -device VGA,vgamem_mb=1",
        mismatches: ["start it with -machine pc-q35-"]),
      Other(
        description: "more memory", arguments: "-M q35 -m 12M -smp 2 -device VGA,vgamem_mb=1",
        mismatches: ["\"pc.ram\" has 8388608 bytes in the image and 12582912 in this VM", "8M"]),
      Other(
        description: "one processor", arguments: "-M q35 -m 8M -device VGA,vgamem_mb=1",
        mismatches: ["a machine with 2 virtual processors, this VM has 1: start it with -smp 2"]),
      Other(
        description: "four processors", arguments: "-M q35 -m 8M -smp 4 -device VGA,vgamem_mb=1",
        mismatches: ["a machine with 2 virtual processors, this VM has 4: start it with -smp 2"]),
      Other(
        description: "no VGA", arguments: "-M q35 -m 8M -smp 2",
        mismatches: ["\"0000:00:01.0/vga.vram\"", "add the device with addr=01.0"]),
      Other(
        description: "other VGA", arguments: "-M q35 -m 8M -smp 2 -device VGA,vgamem_mb=2",
        mismatches: ["\"0000:00:01.0/vga.vram\" has 1048576 bytes in the image and 2097152"]),
      Other(
        description: "one device more",
        arguments: "-M q35 -m 8M -smp 2 -device VGA,vgamem_mb=1 -device virtio-balloon",
        mismatches: [
          "\"0000:00:02.0/virtio-balloon\", of which the image has no state: leave it out"
        ]),
      Other(
        description: "a pc-dimm more",
        arguments: "-M q35 -m 8M,slots=2,maxmem=1G -smp 2 -device VGA,vgamem_mb=1 "
          + "-object memory-backend-ram,id=d0,size=8M -device pc-dimm,memdev=d0",
        mismatches: ["this VM has the RAMBlock \"d0\" of 8388608 bytes", "leave out"]),
      Other(
        description: "memory of another name",
        arguments: "-M q35,memory-backend=m -m 8M -smp 2 -device VGA,vgamem_mb=1 "
          + "-object memory-backend-ram,id=m,size=8M",
        mismatches: ["\"pc.ram\"", "this VM has the RAMBlock \"m\""]),
    ]

    @Test func eachDifferenceIsNamedAndEndsQEMU() throws {
      let vm = try SavedVM(
        VMKind("VGA") {
          $0.arguments = ["-smp", "2", "-device", "VGA,vgamem_mb=1"]
        })
      let directory = try TemporaryDirectory()
      let socket = directory.file("s")
      for (index, other) in Self.others.enumerated() {
        let engine = restoreEngines[index % restoreEngines.count]
        let result = try Tool.run(
          [
            "restore", "--engine", engine.rawValue, "--detach", "--socket", socket.string,
            vm.image.string, "--", "qemu-system-x86_64", "-accel", "tcg", "-nodefaults",
            "-display", "none", "-bios", vm.qemu.directory.file("firmware.bin").string,
            "-serial", "null",
          ] + other.arguments.split(separator: " ").map(String.init))
        #expect(result.status == 1, "\(other): \(result.errors)")
        #expect(result.text == "")
        for words in other.mismatches {
          #expect(result.errors.contains(words), "\(other), \(engine): \(result.errors)")
        }
        // As few words as there are differences.
        #expect(result.errors.split(separator: "\n").count <= 5, "\(other): \(result.errors)")
        #expect(!exists(socket))
      }
    }

    /// A QEMU that waited waits still, and takes the image that fits it.
    @Test func waitingVMIsAsBefore() throws {
      let vm = try SavedVM(VMKind("q35"))
      let other = try SavedVM(VMKind("larger", mebibytes: 16))
      let waiting = try QEMU(other.kind.configuration(in: other.directory).destination)
      let before = try waiting.state()
      let refused = try Tool.run(
        ["restore", vm.image.string, waiting.qmpSocket.string])
      #expect(refused.status == 1 && refused.errors.contains("16777216"), "\(refused.errors)")
      #expect(try waiting.state() == before)
      try Tool.succeed(
        [
          "restore", "--then", "resume", other.image.string, waiting.qmpSocket.string,
        ])
      try waiting.waitForLineEnds(2)
      try waiting.stop()
      try expectLines(of: other.qemu.serial + waiting.serial, sum: other.qemu.guestSum)
      #expect(waiting.log == "")
    }

    /// One that runs is told from one that waits.
    @Test func runningVMIsNotTouched() throws {
      let vm = try SavedVM(VMKind("q35"))
      let running = try QEMU(vm.kind.configuration(in: vm.directory))
      let result = try Tool.run(
        ["restore", vm.image.string, running.qmpSocket.string])
      #expect(result.status == 69)
      #expect(result.errors.contains("\"running\"; expected inmigrate"), "\(result.errors)")
      #expect(try running.status() == "running")
    }
  }
}

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
  /// What an image says that it is of, and the VM that it is restored into.
  @Suite struct VMRestoreFactsTests {
    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private var disk: FilePath { directory.file("disk.qcow2") }
    private var image: FilePath { directory.file("vm.img") }

    private static func vm(_ disk: FilePath, _ more: [String] = []) -> QEMU.Configuration {
      VMKind("a qcow2 disk") {
        $0.arguments =
          [
            "-drive", "if=none,id=d,file=\(disk),format=qcow2", "-device",
            "virtio-blk-pci,drive=d",
          ] + more
      }.configuration
    }

    /// Makes the disk, and writes something to it.
    private func makeDisk(_ options: String...) throws {
      try Subprocess.succeed(
        ["qemu-img", "create", "-q", "-f", "qcow2"] + options + [disk.string, "8M"])
      try write("0x11", to: disk)
    }

    private func write(_ byte: String, to disk: FilePath) throws {
      try Subprocess.succeed(
        ["qemu-io", "-f", "qcow2", "-c", "write -q -P \(byte) 0 1M", disk.string])
    }

    /// Writes as the guest would.
    private func write(_ byte: String, in qemu: QEMU) throws {
      let said = try qemu.humanMonitor("qemu-io d \"write -q -P \(byte) 0 64k\"")
      try #require(said == "", "\(said)")
    }

    /// Restores the image by the command into a VM of `configuration`, which is ended.
    private func restore(
      _ configuration: QEMU.Configuration, _ more: [String] = []
    ) throws -> Subprocess {
      let own = try TemporaryDirectory()
      let result = try Tool.runDetaching(
        ["restore", "--engine", "place", "--then", "pause", "--detach", "--socket"]
          + [own.file("s").string, "--log", own.file("l").string] + more
          + [image.string, "--"] + configuration.words(in: own))
      if result.status == 0 {
        _ = try QMPConnection(connecting: own.file("s")).execute("quit")
        let process = result.text.split(whereSeparator: \.isWhitespace)[1]
        try waitUntil { text(of: FilePath("/proc/\(process)/cmdline")).isEmpty }
      }
      return result
    }

    private func expectRight(
      _ disk: FilePath, _ more: [String] = [], location: SourceLocation = #_sourceLocation
    ) throws {
      let result = try restore(Self.vm(disk), more)
      #expect(
        result.status == 0 && !result.errors.contains("cannot be told")
          && !result.errors.contains("WARNING"), "\(result.errors)",
        sourceLocation: location)
    }

    private func expectRefused(
      _ disk: FilePath, location: SourceLocation = #_sourceLocation
    ) throws {
      let result = try restore(Self.vm(disk))
      #expect(
        result.status == 1 && result.errors.contains("NOT RESTORED")
          && result.errors.contains("--disks-changed"), "\(result.status) \(result.errors)",
        sourceLocation: location)
    }

    /// What the image has of the VM is shown, for people and for programs.
    @Test func inspectShowsThem() throws {
      try makeDisk()
      let source = try QEMU(
        Self.vm(disk, ["-name", "guest=a vm", "-cpu", "Nehalem", "-smp", "1,maxcpus=2"]))
      try source.waitForGuestLines(2)
      _ = try source.saveVM(to: image) { $0.afterwards = .quit }
      let facts = try #require(try Image(at: image).facts)
      #expect(facts.name == "a vm" && facts.tool == "mapped-ram" && facts.qemuVersion != nil)
      #expect(abs((facts.time ?? 0) - Int64(Date().timeIntervalSince1970)) < 600)
      #expect(facts.commandLine.contains("Nehalem") && facts.host?.isEmpty == false)
      let found = try #require(facts.disks.first)
      #expect(facts.disks.count == 1 && found.name == "d" && found.format == "qcow2")
      #expect(found.file == disk.string && found.guestByteCount == 8 << 20)
      #expect(found.state != nil && found.state?.inode != nil)
      let text = try Tool.succeed(["inspect", image.string]).text
      #expect(text.contains("-cpu Nehalem -smp 1,maxcpus=2") && text.contains("a vm"))
      #expect(text.contains("d: \(disk) (qcow2, 8.00 MiB, written 20"))
      let object = try JSONSerialization.jsonObject(
        with: Data(Tool.succeed(["inspect", "--json", image.string]).text.utf8))
      let report = try #require((object as? [String: Any])?["facts"] as? [String: Any])
      #expect(report["name"] as? String == "a vm")
      #expect((report["disks"] as? [[String: Any]])?.first?["file"] as? String == disk.string)
    }

    /// A VM that was resumed writes to its disk; one that ended does not, and QEMU closes the file as it was.
    @Test(arguments: [Ending.resume, .quit]) func aVMThatRanOn(then: Ending) throws {
      try makeDisk()
      let source = try QEMU(Self.vm(disk))
      try source.waitForGuestLines(2)
      try write("0x22", in: source)
      _ = try source.saveVM(to: image) { $0.afterwards = then }
      if then == .quit {
        try expectRight(disk)
        return
      }
      try write("0x33", in: source)
      try source.quit()
      try expectRefused(disk)
    }

    /// What QEMU writes as it closes such a file is no write of the guest's.
    @Test(arguments: [Ending.quit, .pause])
    func aFileThatIsWrittenWhenItIsClosed(then: Ending) throws {
      try makeDisk("-o", "lazy_refcounts=on")
      let source = try QEMU(Self.vm(disk))
      try source.waitForGuestLines(2)
      try write("0x22", in: source)
      _ = try source.saveVM(to: image) { $0.afterwards = then }
      if then == .pause {
        try source.quit()
      }
      try expectRight(disk)
    }

    /// With snapshots of the disks, the file that belongs to the image is the one below; the one that the VM went on with is not.
    @Test func snapshotsOfTheDisks() throws {
      try makeDisk()
      let source = try QEMU(Self.vm(disk))
      try source.waitForGuestLines(2)
      let snapshots = try TemporaryDirectory()
      let report = try source.saveVM(to: image) { $0.snapshotDirectory = snapshots.path }
      let overlay = try #require(report.disks.first?.overlay)
      try write("0x33", in: source)
      try source.quit()
      #expect(try Image(at: image).facts?.disks.first?.file == disk.string)
      let fresh = directory.file("fresh")
      try Subprocess.succeed([
        "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk.string, fresh.string,
      ])
      try expectRight(fresh)
      try expectRight(disk, ["--clone-disks", directory.file("clone").string])
      try expectRight(disk)
      try expectRefused(overlay)
    }

    /// Of the moment of the image: put back, it is the disk of that moment.
    @Test func internalSnapshots() throws {
      try makeDisk()
      let source = try QEMU(Self.vm(disk))
      try source.waitForGuestLines(2)
      _ = try source.saveVM(to: image) { $0.afterwards = .quit }
      try Subprocess.succeed(["qemu-img", "snapshot", "-q", "-c", "s", disk.string])
      try write("0x44", to: disk)
      try expectRefused(disk)
      try Subprocess.succeed(["qemu-img", "snapshot", "-q", "-a", "s", disk.string])
      let result = try restore(Self.vm(disk))
      #expect(result.status == 0, "\(result.errors)")
      #expect(!result.errors.contains("WARNING"), "\(result.errors)")
    }

    /// QEMU itself takes these without a word.
    @Test func otherMemoryAndProcessorsAreNamed() throws {
      try makeDisk()
      func vm(_ order: [Int], _ more: String...) -> QEMU.Configuration {
        var arguments = ["-m", "slots=2,maxmem=1G"]
        for number in 0..<2 {
          arguments += ["-object", "memory-backend-ram,id=m\(number),size=128M"]
        }
        for number in order {
          arguments += ["-device", "pc-dimm,id=d\(number),memdev=m\(number)"]
        }
        return Self.vm(disk, arguments + more)
      }
      let source = try QEMU(vm([0, 1]))
      try source.waitForGuestLines(2)
      _ = try source.saveVM(to: image) { $0.afterwards = .quit }
      let same = try restore(vm([0, 1]))
      #expect(same.status == 0 && !same.errors.contains("Warning"), "\(same.errors)")
      let other = try restore(vm([1, 0], "-cpu", "Nehalem"))
      #expect(other.status == 0)
      #expect(other.errors.contains("Warning: The memory \"m0\" (dimm) was at the guest's address"))
      #expect(other.errors.contains("this one with -cpu Nehalem"), "\(other.errors)")
    }
  }
}

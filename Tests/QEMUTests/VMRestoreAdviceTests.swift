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
  /// What a restore says where QEMU does not take the image, or cannot go on with it.
  @Suite struct VMRestoreAdviceTests {
    private let directory: TemporaryDirectory
    private let disk: FilePath

    init() throws {
      directory = try TemporaryDirectory()
      disk = directory.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1)
    }

    private func variant(_ arguments: [String]) -> VMKind {
      VMKind("q35") { $0.arguments = arguments }
    }

    private func queues(_ count: Int) -> [String] {
      [
        "-drive", "if=none,format=raw,id=d,file=\(disk)", "-device",
        "virtio-blk-pci,drive=d,num-queues=\(count)",
      ]
    }

    /// Runs the command with a QEMU of `arguments`.
    private func restore(
      _ image: FilePath, _ options: [String], _ arguments: [String]
    ) throws -> Subprocess {
      try Tool.run(
        ["restore", "--detach", "--socket", "\(directory.file("s"))"] + options + [image.string]
          + ["--"] + variant(arguments).configuration(in: directory).words(in: directory))
    }

    /// QEMU names the device on its standard error alone, which with --detach nobody sees.
    @Test(arguments: restoreEngines)
    func whatQEMUSaidIsTold(_ engine: VMRestore.Engine) throws {
      let vm = try SavedVM(variant(queues(4)))
      try vm.qemu.quit()
      let said = try restore(vm.image, ["--engine", engine.rawValue], queues(1))
      #expect(said.status == 69, "\(said.errors)")
      #expect(said.errors.contains("\(vm.image): QEMU's migration failed"), "\(said.errors)")
      #expect(said.errors.contains("virtio-blk"), "\(said.errors)")
      let log = directory.file("log")
      let logged = try restore(
        vm.image, ["--engine", engine.rawValue, "--log", log.string], queues(1))
      #expect(logged.errors.contains("\(log) has what it said"), "\(logged.errors)")
      #expect(text(of: log).contains("virtio-blk"))
    }

    /// A slip of the hand names a disk, an image or a device: nothing goes into it. A log of text is continued.
    @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
    func aLogThatIsNone() throws {
      let vm = try SavedVM(VMKind("q35"))
      let device = try LoopDevice(byteCount: 1 << 20, in: directory)
      let qcow = directory.file("qcow2")
      try QEMU.makeDisk(qcow, mebibytes: 1, format: "qcow2")
      for path in [disk, qcow, vm.image, device.path, directory.path] {
        let sum = { try Subprocess.run(["sha256sum", path.string]).text }
        let before = try sum()
        let result = try restore(vm.image, ["--log", path.string], [])
        #expect(result.status == 73)
        #expect(result.errors.contains("\(path): this is not a log"), "\(result.errors)")
        #expect(try sum() == before)
      }
      let log = directory.file("log")
      try Data("before\n".utf8).write(to: URL(fileURLWithPath: log.string))
      let result = try restore(vm.image, ["--log", log.string], ["-no-such-option"])
      #expect(result.status != 0)
      #expect(text(of: log).hasPrefix("before\n") && text(of: log).contains("no-such-option"))
    }

    /// The disk is the saved VM's, which still runs.
    @Test(arguments: restoreEngines)
    func aDiskThatAnotherHas(_ engine: VMRestore.Engine) throws {
      let other = directory.file("other")
      try QEMU.makeDisk(other, mebibytes: 1)
      let disks = [
        "-drive", "if=virtio,format=raw,file=\(other)", "-drive",
        "if=virtio,format=raw,file=\(disk)",
      ]
      let vm = try SavedVM(variant(disks))
      // It has both again, and then not the first.
      let holder = try QEMU(
        .small.with {
          $0.arguments += ["-drive", "if=virtio,format=raw,file=\(disk)"]
        })
      let result = try restore(vm.image, ["--engine", engine.rawValue, "--then", "resume"], disks)
      #expect(result.status == 69)
      #expect(
        result.errors.contains("Another process uses disk virtio1 (\(disk)), probably the VM that"),
        "\(result.errors)")
      #expect(!result.errors.contains("virtio0"))
      #expect(!exists(directory.file("s")))
      try holder.quit()
      let good = try Tool.succeedDetaching(
        [
          "restore", "--detach", "--log", "\(directory.file("log"))", "--socket",
          "\(directory.file("s"))", "--then", "resume",
        ]
          + [vm.image.string, "--"]
          + variant(disks).configuration(in: directory).words(in: directory))
      let qmp = try QMPConnection(connecting: directory.file("s"))
      #expect(good.text.contains("socket"))
      _ = try qmp.execute("quit")
    }

    /// The arguments of a VM that still runs, its monitor's socket among them: QEMU would take that over.
    @Test func aSocketThatAnotherListensAt() throws {
      let vm = try SavedVM(VMKind("q35"))
      let socket = vm.qemu.qmpSocket
      for arguments in [
        ["-qmp", "unix:\(socket),server=on,wait=off"],
        ["-chardev", "socket,id=c,path=\(socket),server=on,wait=off", "-mon", "c,mode=control"],
      ] {
        let result = try restore(vm.image, [], arguments)
        #expect(result.status == 73)
        #expect(
          result.errors.contains("\(socket): a process listens there"), "\(result.errors)")
      }
      // It has it still.
      #expect(try QMPConnection(connecting: socket).execute("query-status")["status"] != nil)
      try vm.qemu.quit()
      let result = try Tool.succeedDetaching(
        [
          "restore", "--detach", "--log", "\(directory.file("log"))", "--socket",
          "\(directory.file("s"))", vm.image.string, "--",
        ]
          + VMKind("q35").configuration(in: directory).words(in: directory)
          + ["-qmp", "unix:\(socket),server=on,wait=off"])
      #expect(result.text.contains("socket"))
      _ = try QMPConnection(connecting: socket).execute("quit")
    }
  }
}

import Foundation
import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// What a save says of files, disks and options that are not as they should be: before the VM is paused, and what to do.
  @Suite struct VMSaveAdviceTests {
    private let directory: TemporaryDirectory
    private var image: FilePath { directory.file("vm.img") }

    init() throws { directory = try TemporaryDirectory() }

    private func start(
      _ change: (inout QEMU.Configuration) -> Void = { _ in }
    ) throws -> QEMU {
      let qemu = try QEMU(.small.with(change))
      try qemu.waitForGuestLines(2)
      return qemu
    }

    private func save(_ qemu: QEMU, _ options: [String]) throws -> Subprocess {
      try Tool.run(["save", qemu.qmpSocket.string, image.string] + options)
    }

    /// How a VM can come by a disk whose file has no name.
    enum Unlinked: String, CaseIterable, Sendable {
      case snapshot, snapshotOfBlock, removed

      func add(_ disk: FilePath, to configuration: inout QEMU.Configuration) {
        switch self {
        case .snapshot:
          configuration.arguments += [
            "-snapshot", "-drive", "if=virtio,format=raw,file=\(disk)",
          ]
        case .snapshotOfBlock:
          configuration.arguments += [
            "-drive", "if=virtio,snapshot=on,file.driver=file,format=raw,file.filename=\(disk)",
          ]
        case .removed:
          configuration.arguments += ["-drive", "if=virtio,format=raw,file=\(disk)"]
        }
      }
    }

    @Test(arguments: Unlinked.allCases)
    func disksWithoutNames(_ kind: Unlinked) throws {
      let (disk, named) = (directory.file("disk"), directory.file("named"))
      try QEMU.makeDisk(disk, mebibytes: 1)
      try QEMU.makeDisk(named, mebibytes: 1)
      let qemu = try start {
        kind.add(disk, to: &$0)
        if kind == .removed { $0.addDisk(named) }
      }
      if kind == .removed { try Subprocess.succeed(["rm", disk.string]) }
      let snapshots = directory.file("snapshots")
      try Subprocess.succeed(["mkdir", snapshots.string])

      let refused = try save(qemu, ["--snapshot-disks", snapshots.string])
      #expect(refused.status == 69)
      #expect(refused.errors.contains("goes into a file without a name"), "\(refused.errors)")
      #expect(refused.errors.contains("nothing was changed"))
      #expect(!exists(image))
      #expect(try FileManager.default.contentsOfDirectory(atPath: snapshots.string) == [])

      // QEMU cannot open a removed one again.
      for engine in kind == .removed ? ["capture"] : ["capture", "qemu"] {
        let saved = try save(qemu, ["--engine", engine, "--json"])
        #expect(saved.status == 0, "\(saved.errors)")
        #expect(saved.errors.contains("Warning: What the guest writes to"), "\(saved.errors)")
        #expect(saved.errors.contains("blockdev-backup"))
        // To fit it to that disk is no use.
        #expect(
          !saved.errors.contains("which the image then no longer matches") || kind == .removed)
        #expect(saved.text.contains("\"isUnlinked\" : true"))
        #expect(saved.text.contains("\"isUnlinked\" : false") == (kind == .removed))
      }
      let inspected = try Tool.succeed(["inspect", qemu.qmpSocket.string])
      #expect(inspected.text.contains("(without a name: lost when QEMU ends)"))
      try qemu.expectGoesOn()
      #expect(qemu.log == "")
    }

    /// Its own format, and a format around another.
    @Test(arguments: ["luks", "qcow2"])
    func anEncryptedDiskHasNoSnapshotInClear(format: String) throws {
      let disk = directory.file("disk")
      let options = format == "luks" ? "key-secret=k" : "encrypt.format=luks,encrypt.key-secret=k"
      try Subprocess.succeed(
        ["qemu-img", "create", "-q", "--object", "secret,id=k,data=secret", "-f", format]
          + ["-o", "\(options)\(format == "luks" ? ",iter-time=10" : ",encrypt.iter-time=10")"]
          + [disk.string, "1M"])
      let qemu = try start {
        $0.arguments += [
          "-object", "secret,id=k,data=secret", "-drive",
          "if=virtio,format=\(format),file=\(disk),"
            + (format == "luks" ? "key-secret=k" : "encrypt.format=luks,encrypt.key-secret=k"),
        ]
      }
      let result = try save(qemu, ["--snapshot-disks", directory.path.string])
      #expect(result.status == 69)
      #expect(result.errors.contains("is encrypted, and what"), "\(result.errors)")
      #expect(!exists(image))
      try qemu.expectGoesOn()
    }

    @Test func aDirectoryForSnapshotsThatIsNone() throws {
      let disk = directory.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1)
      let qemu = try start { $0.addDisk(disk) }
      for (path, words) in [
        (directory.file("missing"), "no such directory"), (disk, "is a regular file"),
      ] {
        let result = try save(qemu, ["--snapshot-disks", path.string])
        #expect(result.status == 73)
        #expect(result.errors.contains("\(path): \(words)"), "\(result.errors)")
      }
      #expect(!exists(image))
      // Never paused: QEMU would have told of it.
      #expect(try qemu.status() == "running")
    }

    @Test func aSocketThatIsNone() throws {
      let path = directory.file("file")
      try Subprocess.succeed(["touch", path.string])
      let result = try Tool.run(["save", path.string, image.string])
      #expect(result.status == 69)
      #expect(result.errors.contains("this is something else"), "\(result.errors)")
    }

    /// A number that is another program's, another QEMU's, or nobody's.
    @Test func aProcessThatIsNotThisQEMU() throws {
      let (qemu, other) = (try start(), try start())
      for number in [getpid(), other.processID, 0x3F_FFFF] {
        let auto = try save(qemu, ["--pid", "\(number)"])
        #expect(auto.status == 0)
        #expect(auto.errors.contains("Process \(number) is not this QEMU"), "\(auto.errors)")
        let capture = try save(qemu, ["--pid", "\(number)", "--engine", "capture"])
        #expect(capture.status == 69)
        #expect(capture.errors.contains("Process \(number) is not this QEMU"))
      }
      try qemu.expectGoesOn()
    }

    /// At the end QEMU opens its disks again, which it cannot where their file has gone.
    @Test(arguments: [nil, "drive-backup"])
    func aDiskThatQEMUCannotOpenAgain(job: String?) throws {
      let (disk, target) = (directory.file("disk"), directory.file("target"))
      try QEMU.makeDisk(disk, mebibytes: 1)
      try QEMU.makeDisk(target, mebibytes: 1)
      let qemu = try start {
        $0.arguments += ["-drive", "if=virtio,format=raw,file=\(disk),id=d"]
      }
      if let job {
        try qemu.execute(
          job,
          [
            "device": "d", "target": target.string, "sync": "full", "mode": "existing",
            "format": "raw", "job-id": "the-job", "speed": 1,
          ])
      } else {
        try Subprocess.succeed(["mv", disk.string, directory.file("moved").string])
      }
      let result = try save(qemu, ["--engine", "qemu"])
      #expect(result.status == 69, "\(result.errors)")
      #expect(result.errors.contains("\"the-job\"") == (job != nil), "\(result.errors)")
      #expect(result.errors.contains("Use --engine capture."))
      #expect(try save(qemu, ["--engine", "capture"]).status == 0)
      try qemu.expectGoesOn()
    }

    @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
    func aDeviceIsNotForQEMU() throws {
      let device = try LoopDevice(byteCount: 64 << 20, in: directory)
      let qemu = try start()
      let result = try Tool.run(
        ["save", qemu.qmpSocket.string, "--engine", "qemu", device.path.string])
      #expect(result.status == 69)
      #expect(
        result.errors.contains("QEMU cannot save into a block device by itself, and a capture can"))
      // Where auto would have to take it, the reasons are told.
      let auto = try Tool.run(
        ["save", qemu.qmpSocket.string, "--pid", "\(getpid())", device.path.string])
      #expect(auto.status == 69)
      #expect(auto.errors.contains("a capture is not possible. Process"), "\(auto.errors)")
      try qemu.expectGoesOn()
    }

    /// Both for a VM and from files; a new file, or one for its owner alone, is nothing to warn of.
    @Test func aFileThatOthersMayRead() throws {
      let qemu = try start()
      #expect(try save(qemu, []).errors.contains("Warning") == false)
      let parts = directory.file("parts")
      try Tool.succeed(["unpack", image.string, parts.string])
      for (mode, warns) in [("600", false), ("604", true), ("640", true), ("622", false)] {
        try Subprocess.succeed(["chmod", mode, image.string])
        for arguments in [["save", qemu.qmpSocket.string], ["pack", parts.string]] {
          let result = try Tool.run(arguments + ["--in-place", image.string])
          #expect(result.status == 0, "\(result.errors)")
          #expect(
            result.errors.contains("its permissions (\(mode)) let others read it") == warns,
            "\(mode), \(arguments): \(result.errors)")
        }
      }
    }
  }
}

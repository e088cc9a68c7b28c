import Foundation
import Glibc
import MappedRAM
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Disks that belong to an image, and those that the VM goes on with.
  @Suite struct VMSaveSnapshotTests {
    private let directory: TemporaryDirectory
    private let snapshots: TemporaryDirectory
    private let images: TemporaryDirectory
    private let qemu: QEMU

    init() throws {
      directory = try TemporaryDirectory()
      snapshots = try TemporaryDirectory()
      images = try TemporaryDirectory()
      let (raw, qcow) = (directory.file("raw"), directory.file("qcow2"))
      try QEMU.makeDisk(raw, mebibytes: 1)
      try QEMU.makeDisk(qcow, mebibytes: 1, format: "qcow2")
      let drive = directory.file("drive")
      try QEMU.makeDisk(drive, mebibytes: 1)
      qemu = try QEMU(
        .small.with {
          $0.addDisk(raw)
          $0.addDisk(qcow, format: "qcow2")
          // Without a name for its node, and by a path relative to QEMU's working directory.
          $0.arguments += ["-drive", "file=\(Self.relative(drive)),format=raw,if=virtio"]
        })
      try qemu.waitForGuestLines(2)
    }

    private static func relative(_ path: FilePath) -> String {
      let here = FilePath(FileManager.default.currentDirectoryPath)
      return String(repeating: "../", count: here.components.count) + path.string.dropFirst()
    }

    private var image: FilePath { images.file("vm.img") }

    /// The files that the disks have at first.
    private var bases: [String] {
      ["drive", "qcow2", "raw"].map { directory.file($0).string }
    }

    /// What each disk's topmost file is.
    private func files() throws -> [String] {
      let drives = try qemu.execute("query-block") as? [[String: Any]] ?? []
      return drives.compactMap { ($0["inserted"] as? [String: Any])?["file"] as? String }
    }

    /// Writes 512 bytes of `byte` at the beginning of both disks, as the guest would.
    private func write(_ byte: String) throws {
      let drives = try qemu.execute("query-block") as? [[String: Any]] ?? []
      for drive in drives {
        let device = try #require(drive["qdev"] as? String)
        let said = try qemu.humanMonitor("qemu-io -d \(device) \"write -q -P \(byte) 0 512\"")
        try #require(said == "", "\(said)")
      }
    }

    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func disksGoOnInOverlays(engine: VMSave.Engine) throws {
      try write("0x11")
      let report = try qemu.saveVM(to: image) {
        $0.engine = engine
        $0.snapshotDirectory = snapshots.path
      }
      #expect(report.disks.count == 3 && report.stateAfter == "running")
      #expect(report.disks.map { Self.resolved($0.file) }.sorted() == bases.sorted())
      #expect(report.disks.allSatisfy { $0.file.hasPrefix("/") })
      let overlays = report.disks.compactMap { $0.overlay?.string }
      #expect(overlays.count == 3 && !report.disksDiverge)
      // A file whose base QEMU knows by another name is shown as json:.
      let shown = try files()
      #expect(overlays.allSatisfy { overlay in shown.contains { $0.contains(overlay) } })
      #expect(try snapshots.names().count == 3)
      // What the guest writes from now on is not in the files of the image.
      let sums = try sumsOfBases()
      try write("0x22")
      #expect(try sumsOfBases() == sums)
      try qemu.expectGoesOn()
    }

    private static func resolved(_ path: String) -> String {
      URL(fileURLWithPath: path).standardizedFileURL.resolvingSymlinksInPath().path
    }

    /// Each overlay says by an absolute path and the right format what it is based on, and nobody can read it who could not
    /// read the base.
    @Test func overlaysCanBeOpenedAlone() throws {
      for base in bases { try Subprocess.succeed(["chmod", "640", base]) }
      let report = try qemu.saveVM(to: image) { $0.snapshotDirectory = snapshots.path }
      for disk in report.disks {
        let overlay = try #require(disk.overlay)
        let text = try Subprocess.succeed([
          "qemu-img", "info", "-U", "--output=json", overlay.string,
        ]).text
        let info = try #require(
          JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(info["backing-filename"] as? String == disk.file)
        let format = disk.file.hasSuffix("/qcow2") ? "qcow2" : "raw"
        #expect(info["backing-filename-format"] as? String == format)
        #expect(info["virtual-size"] as? Int == 1 << 20)
        let mode = try FileManager.default.attributesOfItem(atPath: overlay.string)
        #expect(mode[.posixPermissions] as? Int == 0o600)
      }
    }

    /// A QEMU of another user gets files that are his, for him alone where its disk was.
    @Test(.enabled(if: Unprivileged.isAvailable, "needs root and setpriv"))
    func overlaysOfAnotherUsersQEMU() throws {
      for place in [directory, snapshots] { try place.give(to: Unprivileged.nobody) }
      let disk = directory.file("nobodys")
      try QEMU.makeDisk(disk, mebibytes: 1)
      try Subprocess.succeed(["chown", "\(Unprivileged.nobody)", disk.string])
      try Subprocess.succeed(["chmod", "600", disk.string])
      let theirs = try QEMU(
        .small.with {
          $0.user = Unprivileged.nobody
          $0.addDisk(disk)
        })
      try theirs.waitForGuestLines(2)
      for engine in [VMSave.Engine.capture, .qemu] {
        let report = try theirs.saveVM(to: image) {
          $0.engine = engine
          $0.snapshotDirectory = snapshots.path
        }
        let overlay = try #require(report.disks.first?.overlay)
        let found = try FileManager.default.attributesOfItem(atPath: overlay.string)
        #expect(found[.posixPermissions] as? Int == 0o600)
        #expect(found[.ownerAccountID] as? UInt32 == Unprivileged.nobody)
      }
      try theirs.expectGoesOn()
    }

    /// Where it cannot be seen in which directory QEMU is, a relative path leads nowhere: said before anything is done.
    @Test(.enabled(if: Unprivileged.isAvailable, "needs root and setpriv"))
    func relativeDiskOfAProcessThatCannotBeSeen() throws {
      for place in [directory, snapshots, images] { try place.give(to: Unprivileged.nobody) }
      try Subprocess.succeed(["chmod", "-R", "a+rwX", qemu.directory.path.string])
      let tool = images.file("mapped-ram")
      try Subprocess.succeed(["cp", Tool.path, tool.string])
      let result = try Subprocess.run(
        Unprivileged.prefix() + [tool.string, "save", qemu.qmpSocket.string, image.string]
          + ["--snapshot-disks", snapshots.path.string])
      #expect(result.status == 69, "\(result.errors)")
      #expect(result.errors.contains("drive"), "\(result.errors)")
      #expect(result.errors.contains("absolute"), "\(result.errors)")
      #expect(try snapshots.names() == [] && images.names() == ["mapped-ram"])
      #expect(try qemu.status() == "running")
    }

    /// The files are called after the disks, and never the same.
    @Test func namesOfOverlays() throws {
      let first = try qemu.saveVM(to: image) { $0.snapshotDirectory = snapshots.path }
      #expect(first.disks.contains { $0.name == "virtio0" })
      for disk in first.disks {
        let name = try #require(disk.overlay?.lastComponent?.string)
        #expect(!disk.name.contains("/") && !name.contains("virtio-backend"))
        #expect(name.hasPrefix("vm."))
      }
      let second = try qemu.saveVM(to: image) { $0.snapshotDirectory = snapshots.path }
      #expect(try snapshots.names().count == 6)
      // QEMU has a json: name for the base of one, with a relative path in it; from anywhere else that leads nowhere.
      for disk in second.disks {
        let overlay = try #require(disk.overlay)
        let read = try Subprocess.run(
          ["env", "-C", "/", "qemu-io", "-U", "-r", "-f", "qcow2", "-c", "read 0 512"]
            + [overlay.string])
        #expect(read.status == 0 && read.text.contains("read 512/512"), "\(read.errors)")
      }
      try write("0x44")
      try qemu.expectGoesOn()
    }

    private func sumsOfBases() throws -> String {
      try Subprocess.succeed(["md5sum"] + bases).text
    }

    /// A save that fails after the snapshots: what was written since is in the old files, and the new ones are gone.
    @Test(
      .enabled(if: SmallFileSystem.isPermitted, "needs the right to mount"),
      arguments: [VMSave.Engine.capture, .qemu], [true, false])
    func failureTakesSnapshotsBack(engine: VMSave.Engine, runs: Bool) throws {
      if !runs { try qemu.stop() }
      let before = try (qemu.state(), files())
      let disk = try SmallFileSystem(byteCount: 2 << 20, over: images)
      let error = #expect(throws: VMError.self) {
        try qemu.saveVM(to: image) {
          $0.engine = engine
          $0.snapshotDirectory = snapshots.path
        }
      }
      try expectFull(error, image, by: engine)
      #expect(try qemu.state() == before.0)
      #expect(try files() == before.1)
      #expect(try snapshots.names().isEmpty)
      #expect(try disk.names().isEmpty)
      if !runs { try qemu.resume() }
      try write("0x33")
      try qemu.expectGoesOn()
    }

    /// The directory is not there: no disk changes, and no file stays.
    @Test func snapshotsThatCannotBeTaken() throws {
      let before = try (qemu.state(), files())
      #expect(throws: VMError.noSnapshotDirectory(snapshots.file("none"), found: nil)) {
        try qemu.saveVM(to: image) { $0.snapshotDirectory = snapshots.file("none") }
      }
      #expect(try qemu.state() == before.0)
      #expect(try files() == before.1)
      #expect(try images.names().isEmpty)
      try qemu.expectGoesOn()
    }

    /// Without snapshots the report says that the disks and the image part.
    @Test func disksThatDivergeAreReported() throws {
      let report = try qemu.saveVM(to: image)
      #expect(report.disksDiverge && report.disks.count == 3)
      #expect(report.disks.allSatisfy { $0.overlay == nil })
    }
  }
}

import Foundation
import MappedRAM
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Snapshots of disks that are more than a format on a file: what is below the node that the guest sees counts as well.
  @Suite struct VMSaveLayerTests {
    private let directory: TemporaryDirectory
    private let snapshots: TemporaryDirectory
    private var image: FilePath { directory.file("vm.img") }
    private var disk: FilePath { directory.file("disk") }

    init() throws {
      directory = try TemporaryDirectory()
      snapshots = try TemporaryDirectory()
    }

    /// What stands between the guest and a node.
    enum Layer: String, CaseIterable, Sendable {
      case raw, throttle
      case copyOnRead = "copy-on-read"

      /// The option of a node called `name` on `below`, whose options are these.
      func over(_ below: String, name: String) -> String {
        let group = self == .throttle ? ",\"throttle-group\":\"t\"" : ""
        return "{\"driver\":\"\(rawValue)\",\"node-name\":\"\(name)\"\(group),\"file\":\(below)}"
      }
    }

    /// A VM whose disk is `node`, the options of a node called `top`.
    private func start(
      on node: String, _ change: (inout QEMU.Configuration) -> Void = { _ in }
    ) throws -> QEMU {
      let qemu = try QEMU(
        .small.with {
          $0.arguments += [
            "-object", "secret,id=k,data=secret", "-object", "throttle-group,id=t",
            "-blockdev", node, "-device", "virtio-blk-pci,drive=top",
          ]
          change(&$0)
        })
      try qemu.waitForGuestLines(2)
      return qemu
    }

    private func file(_ path: FilePath) -> String {
      "{\"driver\":\"file\",\"filename\":\"\(path)\"}"
    }

    private func makeEncrypted(_ format: String, at path: FilePath) throws {
      let prefix = format == "luks" ? "" : "encrypt."
      let kind = format == "luks" ? "" : "encrypt.format=luks,"
      try Subprocess.succeed(
        ["qemu-img", "create", "-q", "--object", "secret,id=k,data=secret", "-f", format, "-o"]
          + ["\(kind)\(prefix)key-secret=k,\(prefix)iter-time=10", path.string, "1M"])
    }

    private func encrypted(_ format: String, _ path: FilePath) -> String {
      format == "luks"
        ? "{\"driver\":\"luks\",\"key-secret\":\"k\",\"file\":\(file(path))}"
        : "{\"driver\":\"qcow2\",\"encrypt\":{\"format\":\"luks\",\"key-secret\":\"k\"},\"file\":\(file(path))}"
    }

    /// What encrypts is below the node that the guest sees, or two below.
    @Test(arguments: ["luks", "qcow2"], Layer.allCases)
    func whatIsEncryptedBelowHasNoSnapshotInClear(format: String, layer: Layer) throws {
      try makeEncrypted(format, at: disk)
      let below = Layer.throttle.over(encrypted(format, disk), name: "middle")
      let qemu = try start(on: layer.over(below, name: "top"))
      let error = #expect(throws: VMError.self) {
        try qemu.saveVM(to: image) { $0.snapshotDirectory = snapshots.path }
      }
      guard case .encryptedDisk? = error else { throw HarnessError("\(String(describing: error))") }
      #expect(try snapshots.names().isEmpty)
      try qemu.expectGoesOn()
    }

    /// What another disk encrypts, or what a backing file was encrypted with, is no matter: the guest writes in clear before and after.
    @Test func whatIsEncryptedElsewhere() throws {
      let (other, base) = (directory.file("other"), directory.file("base"))
      try makeEncrypted("luks", at: other)
      try makeEncrypted("qcow2", at: base)
      try Subprocess.succeed(["qemu-img", "create", "-q", "-f", "qcow2", disk.string, "1M"])
      let node =
        "{\"driver\":\"qcow2\",\"node-name\":\"top\",\"file\":\(file(disk)),\"backing\":\(encrypted("qcow2", base))}"
      let qemu = try start(on: node) {
        let other = encrypted("luks", other).dropLast() + ",\"node-name\":\"o\",\"read-only\":true}"
        $0.arguments += ["-blockdev", "\(other)", "-device", "virtio-blk-pci,drive=o"]
      }
      let report = try qemu.saveVM(to: image) { $0.snapshotDirectory = snapshots.path }
      #expect(report.disks.count == 1)
      #expect(try snapshots.names().count == 1)
      try qemu.expectGoesOn()
    }

    /// The overlay names the file below a filter and its format, and so is opened without the filter.
    @Test(arguments: [Layer.throttle, .copyOnRead], ["raw", "qcow2"])
    func overlayOfAFilter(layer: Layer, format: String) throws {
      try QEMU.makeDisk(disk, mebibytes: 1, format: format)
      let below = "{\"driver\":\"\(format)\",\"file\":\(file(disk))}"
      let middle = Layer.copyOnRead.over(below, name: "middle")
      let qemu = try start(on: layer.over(middle, name: "top"))
      let report = try qemu.saveVM(to: image) { $0.snapshotDirectory = snapshots.path }
      let overlay = try #require(report.disks.first?.overlay)
      let text = try Subprocess.succeed(
        ["qemu-img", "info", "-U", "--output=json", overlay.string]
      ).text
      let info = try #require(
        JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
      #expect(info["backing-filename"] as? String == disk.string)
      #expect(info["backing-filename-format"] as? String == format)
      let read = try Subprocess.run(
        ["qemu-io", "-U", "-r", "-f", "qcow2", "-c", "read 0 512", overlay.string])
      #expect(read.status == 0 && read.text.contains("read 512/512"), "\(read.errors)")
      try qemu.expectGoesOn()
    }
  }
}

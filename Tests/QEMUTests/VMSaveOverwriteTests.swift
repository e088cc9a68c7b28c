import Foundation
import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Nothing that a VM uses is replaced by its image, by whatever name and whoever writes; nor anything else that is no image.
  @Suite struct VMSaveOverwriteTests {
    /// A VM with a disk over a backing file, a disk below a filter, one by `json:`, one by a relative path, flash memory, and a
    /// memory file.
    fileprivate struct BusyFiles {
      let directory: TemporaryDirectory
      let links: TemporaryDirectory
      let qemu: QEMU

      init() throws {
        directory = try TemporaryDirectory()
        links = try TemporaryDirectory()
        let file = { [directory] (name: String) in directory.file(name) }
        try QEMU.makeDisk(file("base"), mebibytes: 1)
        try Subprocess.succeed(
          ["qemu-img", "create", "-q", "-f", "qcow2", "-b", file("base").string, "-F", "raw"]
            + [file("overlay").string])
        for name in ["filtered", "json", "drive"] {
          try QEMU.makeDisk(file(name), mebibytes: 1)
        }
        // Its firmware, in flash memory instead of a ROM.
        try QEMU.Configuration.small.guest?.write(to: file("flash"))
        let here = FilePath(FileManager.default.currentDirectoryPath)
        let relative =
          String(repeating: "../", count: here.components.count) + file("drive").string.dropFirst()
        qemu = try QEMU(
          .small.with {
            $0.addDisk(file("overlay"), format: "qcow2")
            $0.arguments += [
              "-blockdev", "driver=file,filename=\(file("filtered")),node-name=below",
              "-blockdev", "driver=blkdebug,image=below,node-name=filter",
              "-device", "virtio-blk-pci,drive=filter",
              "-drive",
              "if=virtio,file.driver=file,format=raw,file.filename=\(file("json"))",
              "-drive", "if=virtio,format=raw,file=\(relative)",
              "-drive", "if=pflash,format=raw,file=\(file("flash"))",
              "-object",
              "memory-backend-file,id=more,size=16M,mem-path=\(file("memory")),share=on",
              "-device", "pc-dimm,memdev=more",
            ]
            $0.addSlots()
          })
        try qemu.waitForGuestLines(2)
      }

      static let names = ["base", "overlay", "filtered", "json", "drive", "flash", "memory"]

      /// The file's own path, a symbolic link to it, and a hard link.
      func ways(to name: String) throws -> [FilePath] {
        let file = directory.file(name)
        let (soft, hard) = (links.file("\(name)-soft"), directory.file("\(name)-hard"))
        try Subprocess.succeed(["ln", "-sfn", file.string, soft.string])
        try Subprocess.succeed(["ln", "-fn", file.string, hard.string])
        return [file, soft, hard]
      }
    }

    @Test func filesOfTheVM() throws {
      let vm = try BusyFiles()
      for name in BusyFiles.names {
        for path in try vm.ways(to: name) {
          let before = try vm.digest(of: name)
          for way in Way.all {
            #expect("\(name), \(path), \(way)") {
              try vm.qemu.saveVM(to: path, way.change)
            } throws: {
              guard case .usedByVM(path, _) = $0 as? VMError else { return false }
              return true
            }
          }
          #expect(try vm.digest(of: name) == before)
        }
      }
      #expect(try vm.qemu.status() == "running")
      try vm.qemu.expectGoesOn()
      #expect(vm.qemu.logBesidesACancellation == "")
    }

    /// Ways to save.
    private struct Way: CustomStringConvertible, Sendable {
      let description: String
      let change: @Sendable (inout VMSave) -> Void

      static let all = [
        Way(description: "capture") { $0.engine = .capture },
        Way(description: "qemu") { $0.engine = .qemu },
        Way(description: "live") { $0.live = LiveOptions() },
        Way(description: "in place") { $0.inPlace = true },
        Way(description: "by QEMU, in place, with force") {
          $0.engine = .qemu
          $0.inPlace = true
          $0.replacing = .anything
        },
        Way(description: "then quit") { $0.afterwards = .quit },
      ]
    }

    @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
    func devices() throws {
      let directory = try TemporaryDirectory()
      let device = try LoopDevice(byteCount: 64 << 20, in: directory)
      let other = directory.file("node")
      let numbers = try Subprocess.succeed(["stat", "-c", "%Hr %Lr", device.path.string]).text
      try Subprocess.succeed(
        ["mknod", other.string, "b"]
          + numbers.split(whereSeparator: \.isWhitespace).map(String.init))
      let qemu = try QEMU(
        .small.with {
          $0.arguments += [
            "-blockdev", "driver=host_device,filename=\(device.path),node-name=disk",
            "-device", "virtio-blk-pci,drive=disk",
          ]
        })
      try qemu.waitForGuestLines(2)
      for path in [device.path, other] {
        for engine in [VMSave.Engine.capture, .qemu] {
          // The library's user need not say that a device is written in place.
          #expect(throws: VMError.usedByVM(path, .disk(node: "disk"))) {
            try qemu.saveVM(to: path) {
              $0.engine = engine
              $0.replacing = .anything
            }
          }
        }
      }
      // Another VM's.
      let second = try QEMU(.small)
      try second.waitForGuestLines(2)
      #expect(throws: VMError.image(.target(.usedByQEMU(device.path)))) {
        try second.saveVM(to: device.path) { $0.replacing = .anything }
      }
      try qemu.expectGoesOn()
      try second.expectGoesOn()
    }

    /// What changes an image in place asks whether a QEMU has it as a disk.
    @Test func anImageThatIsADiskIsNotChanged() throws {
      let directory = try TemporaryDirectory()
      let image = try Fixture("live").unpack(into: directory)
      let sealed = directory.file("sealed")
      _ = try ImageSeal(image).run(copyingTo: sealed)
      func sums() throws -> String {
        try Subprocess.succeed(["sha256sum", image.string, sealed.string]).text
      }
      let before = try sums()
      var configuration = QEMU.Configuration()
      for (name, path) in [("one", image), ("two", sealed)] {
        configuration.arguments += [
          "-drive", "if=none,id=\(name),format=raw,file=\(path)",
          "-device", "virtio-blk-pci,drive=\(name)",
        ]
      }
      let qemu = try QEMU(configuration)
      #expect(throws: ImageError.target(.usedByQEMU(image))) { try ImageSeal(image).run() }
      #expect(throws: ImageError.target(.usedByQEMU(sealed))) {
        try ImageRepair(sealed, from: []).run()
      }
      // Nor is it replaced, whatever is forced.
      let copy = directory.file("copy")
      try Tool.succeed(["unpack", sealed.string, directory.file("parts").string])
      for words in [
        ["seal", "--force", "--copy", sealed.string, copy.string],
        ["pack", "--force", directory.file("parts").string, sealed.string],
      ] {
        try Subprocess.succeed(["cp", image.string, copy.string])
        let result = try Tool.run(words)
        #expect(result.status == 73, "\(words): \(result.errors)")
        #expect(result.errors.contains("a QEMU uses this as a disk"), "\(result.errors)")
      }
      let compacted = try Tool.run(["compact", image.string])
      #expect(compacted.status == 73 && compacted.errors.contains("a QEMU uses this as a disk"))
      try qemu.quit()
      #expect(try sums() == before)
      try Tool.succeed(["compact", image.string])
    }

    @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
    func mountedDevice() throws {
      let directory = try TemporaryDirectory()
      let device = try LoopDevice(byteCount: 64 << 20, in: directory)
      try Subprocess.succeed(["mkfs.ext4", "-q", device.path.string])
      let place = directory.file("mounted")
      try Subprocess.succeed(["mkdir", place.string])
      let qemu = try QEMU(.small)
      try qemu.waitForGuestLines(2)
      // A file system needs to be given up by a word; mounted it cannot be at all.
      #expect(
        throws: VMError.image(
          .target(.notAnImage(device.path, found: "an ext2, ext3 or ext4 file system")))
      ) { try qemu.saveVM(to: device.path) }
      try Subprocess.succeed(["mount", device.path.string, place.string])
      #expect {
        try qemu.saveVM(to: device.path) { $0.replacing = .anything }
      } throws: {
        guard case .image(.system(let error)) = $0 as? VMError else { return false }
        return error.errno == .resourceBusy
      }
      try Subprocess.succeed(["umount", place.string])
      try Subprocess.succeed(["fsck.ext4", "-fn", device.path.string])
      try qemu.expectGoesOn()
      // With the word, it becomes an image.
      _ = try qemu.saveVM(to: device.path) { $0.replacing = .anything }
      #expect(try Image(reading: File.open(device.path, access: .read)).isComplete)
    }

    /// Two saves into one file in place: one of them gets it.
    @Test func twoSavesInPlace() throws {
      let directory = try TemporaryDirectory()
      let path = directory.file("image")
      try Data().write(to: URL(fileURLWithPath: path.string))
      let qemu = try QEMU(.small)
      try qemu.waitForGuestLines(2)
      let other = try File.open(path, access: .readWrite)
      try other.lock(.exclusive)
      for engine in [VMSave.Engine.capture, .qemu] {
        #expect {
          try qemu.saveVM(to: path) {
            $0.inPlace = true
            $0.engine = engine
          }
        } throws: {
          guard case .image(.system(let error)) = $0 as? VMError else { return false }
          return error.call == .flock && error.errno == .wouldBlock
        }
      }
      withExtendedLifetime(other) {}
      try qemu.expectGoesOn()
    }

    /// By the built command: the image of a VM of another machine type, name or UUID needs --force as well.
    @Test func imagesOfOtherVMs() throws {
      let directory = try TemporaryDirectory()
      let image = directory.file("image")
      let shape = { (extra: [String]) in
        QEMU.Configuration.small.with { $0.arguments += extra }
      }
      let uuid = "550e8400-e29b-41d4-a716-44665544000"
      let source = try QEMU(shape(["-name", "one", "-uuid", uuid + "0"]))
      try source.waitForGuestLines(2)
      try source.execute(
        "migrate-set-capabilities",
        ["capabilities": [["capability": "validate-uuid", "state": true]]])
      _ = try source.saveVM(to: image) { $0.engine = .qemu }
      _ = try source.saveVM(to: image) { $0.engine = .qemu }
      let saved = try Data(contentsOf: URL(fileURLWithPath: image.string))
      let otherType = try QEMU(shape(["-machine", "pc-i440fx-9.2"]))
      let otherUUID = try QEMU(shape(["-uuid", uuid + "1"]))
      for (qemu, word) in [
        (otherType, "machine type \""), (otherUUID, "UUID \"\(uuid)0\", and not \"\(uuid)1\""),
      ] {
        try qemu.waitForGuestLines(2)
        let save = ["save", qemu.qmpSocket.string, image.string]
        for options in [[], ["--in-place"], ["--engine", "qemu"], ["--live"]] {
          let result = try Tool.run(save + options)
          #expect(result.status == 73)
          #expect(result.errors.contains("this is an image of another VM (\(word)"))
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: image.string)) == saved)
        try qemu.expectGoesOn()
      }
      try Tool.succeed(
        ["save", otherType.qmpSocket.string, "--force", image.string])
    }

    /// By the built command: a file that is no image needs --force.
    @Test func filesThatAreNoImages() throws {
      let directory = try TemporaryDirectory()
      let qemu = try QEMU(.small)
      try qemu.waitForGuestLines(2)
      let path = directory.file("letter")
      try Data("Dear Sir".utf8).write(to: URL(fileURLWithPath: path.string))
      let save = ["save", qemu.qmpSocket.string]
      for options in [[], ["--in-place"], ["--engine", "qemu"], ["--live"]] {
        let result = try Tool.run(save + options + [path.string])
        #expect(result.status == 73)
        #expect(result.errors.contains("this is a text file and would be lost"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: path.string)) == Data("Dear Sir".utf8))
      }
      try Tool.succeed(save + ["--force", path.string])
      // Now it is one.
      try Tool.succeed(save + [path.string])
      let disk = directory.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1, format: "qcow2")
      let result = try Tool.run(save + [disk.string])
      #expect(result.status == 73 && result.errors.contains("this is a qcow2 disk image"))
      // --force is about files, not about what the VM uses.
      let own = try Tool.run(save + ["--force", qemu.qmpSocket.string])
      #expect(own.status == 73 && own.errors.contains("the socket of its monitor"))
      try qemu.expectGoesOn()
    }
  }
}

extension RealQEMU.VMSaveOverwriteTests.BusyFiles {
  /// The file's bytes, as a sum.
  fileprivate func digest(of name: String) throws -> String {
    let path = directory.file(name).string
    return try Subprocess.succeed(["sh", "-c", "stat -c %i '\(path)'; sha256sum <'\(path)'"]).text
  }
}

import Foundation
import LinuxIO
import LinuxProcesses
import MappedRAM
import QEMUArguments
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Clones with overlays of one VM's disks.
  @Suite struct VMRestoreDiskTests {
    private static func vm(_ disk: FilePath, _ more: [String] = []) -> VMKind {
      VMKind("a disk") {
        $0.arguments =
          [
            "-drive", "if=none,id=d,file=\(disk),format=raw", "-device", "virtio-blk-pci,drive=d",
          ] + more
      }
    }

    /// A disk of 1 MiB and a bit, full of 0x11.
    private static func disk(in directory: TemporaryDirectory) throws -> FilePath {
      let path = directory.file("disk")
      try Data(repeating: 0x11, count: 1 << 20 + 512).write(
        to: URL(fileURLWithPath: path.string))
      return path
    }

    /// Two run at once; each reads what was there, and what it has written itself. The disk stays.
    @Test(arguments: [VMRestore.Engine.map, .place])
    func twoClonesWriteToDisksOfTheirOwn(engine: VMRestore.Engine) throws {
      let directory = try TemporaryDirectory()
      let disk = try Self.disk(in: directory)
      let kind = Self.vm(disk)
      let image = directory.file("vm.img")
      let source = try QEMU(kind.configuration)
      try source.waitForGuestLines(2)
      _ = try source.saveVM(to: image) { $0.afterwards = .quit }
      try clone(image, kind, engine, directory.file("one")) { one, overlay in
        try clone(image, kind, engine, directory.file("two")) { two, other in
          #expect(overlay != other)
          for (vm, pattern) in [(one, "0x21"), (two, "0x22")] {
            for command in ["write -q -P \(pattern) 4096 4096", "flush"] {
              _ = try vm.execute(
                "human-monitor-command",
                arguments: ["command-line": .string("qemu-io d \"\(command)\"")])
            }
          }
        }
      }
      for (name, pattern) in [("one", "0x21"), ("two", "0x22")] {
        let overlay = directory.file(name).appending("d.qcow2").string
        for part in ["\(pattern) 4096 4096", "0x11 0 4096", "0x11 8192 64k", "0x11 1M 512"] {
          let said = try Subprocess.succeed(
            ["qemu-io", "-r", "-f", "qcow2", "-c", "read -q -P \(part)", overlay])
          #expect(said.text == "", "\(part)")
        }
        let checked = try Subprocess.run(["qemu-img", "check", overlay])
        #expect(checked.status == 0, "\(checked.text)\(checked.errors)")
      }
      #expect(
        try Data(contentsOf: URL(fileURLWithPath: disk.string))
          == Data(repeating: 0x11, count: 1 << 20 + 512))
    }

    /// Restores a clone whose disks go to `place`.
    private func clone(
      _ image: FilePath, _ kind: VMKind, _ engine: VMRestore.Engine, _ place: FilePath,
      _ body: (QMPConnection, FilePath) throws -> Void
    ) throws {
      let own = try TemporaryDirectory()
      var restore = VMRestore()
      restore.engine = engine
      var launch = VMLaunch(restore, arguments: try kind.configuration.words(in: own))
      launch.cloneDirectory = place
      let socket = own.file("socket")
      launch.mode = .detached(socket: socket, log: .file(own.file("log")))
      let result = try launch.run(try RestoreSource(image)) { (running, outcome) throws(VMError) in
        let running = running
        let result = Result {
          #expect(outcome.disks.map(\.overlay) == [place.appending("d.qcow2")])
          #expect(outcome.notes.contains(.noGenerationID))
          try body(try QMPConnection(connecting: socket), place.appending("d.qcow2"))
        }
        _ = running.child.processID
        return result
      }
      try result.get()
    }

    /// An image is not restored onto a disk that went on, but onto the right one, an overlay of it, and a copy.
    @Test func aDiskThatWentOnIsRefused() throws {
      let directory = try TemporaryDirectory()
      let disk = try Self.disk(in: directory)
      let image = directory.file("vm.img")
      let source = try QEMU(Self.vm(disk).configuration)
      try source.waitForGuestLines(2)
      _ = try source.saveVM(to: image) { $0.afterwards = .quit }
      func restore(_ disk: FilePath, _ more: [String] = []) throws -> Subprocess {
        let own = try TemporaryDirectory()
        let result = try Tool.runDetaching(
          ["restore", "--engine", "place", "--then", "pause", "--detach", "--socket"]
            + [own.file("s").string, "--log", own.file("l").string] + more
            + [image.string, "--"] + Self.vm(disk).configuration.words(in: own))
        if result.status == 0 {
          _ = try QMPConnection(connecting: own.file("s")).execute("quit")
          let process = result.text.split(whereSeparator: \.isWhitespace)[1]
          try waitUntil { text(of: FilePath("/proc/\(process)/cmdline")).isEmpty }
        }
        return result
      }
      let right = try restore(disk)
      #expect(right.status == 0 && !right.errors.contains("disk"), "\(right.errors)")
      let copy = directory.file("copy")
      try Subprocess.succeed(["cp", "-p", disk.string, copy.string])
      let copied = try restore(copy)
      #expect(copied.status == 0 && !copied.errors.contains("cannot be told"), "\(copied.errors)")
      try Subprocess.succeed(["touch", copy.string])
      let other = try restore(copy)
      #expect(other.status == 0 && other.errors.contains("cannot be told"), "\(other.errors)")
      // Written to, and of the same length.
      try Subprocess.succeed(["qemu-io", "-f", "raw", "-c", "write -q -P 1 0 512", disk.string])
      let refused = try restore(disk)
      #expect(refused.status == 1, "\(refused.status)")
      #expect(refused.errors.contains("NOT RESTORED") && refused.errors.contains("--disks-changed"))
      let forced = try restore(disk, ["--disks-changed"])
      #expect(forced.status == 0 && forced.errors.contains("WARNING: The disk"), "\(forced.errors)")
    }

    /// Disks that a script adds are not seen in the arguments, but QEMU tells of them.
    @Test func aDiskThatIsNotSeenIsRefused() throws {
      let directory = try TemporaryDirectory()
      let disk = try Self.disk(in: directory)
      let kind = Self.vm(disk)
      let image = directory.file("vm.img")
      let source = try QEMU(kind.configuration)
      try source.waitForGuestLines(2)
      _ = try source.saveVM(to: image) { $0.afterwards = .quit }
      var plain = kind.configuration
      let hidden = plain.arguments
      plain.arguments = []
      let own = try TemporaryDirectory()
      let words = try plain.words(in: own)
      let script = directory.file("qemu.sh")
      let text = "#!/bin/sh\nexec \(words[0]) \"$@\" \(hidden.joined(separator: " "))\n"
      try Data(text.utf8).write(to: URL(fileURLWithPath: script.string))
      try Subprocess.succeed(["chmod", "755", script.string])
      var launch = VMLaunch(VMRestore(), arguments: [script.string] + words.dropFirst())
      launch.cloneDirectory = directory.file("one")
      launch.mode = .detached(
        socket: own.file("socket"), log: .file(own.file("log")))
      let error = #expect(throws: VMError.self) {
        try launch.run(try RestoreSource(image)) { (_, _) throws(VMError) in }
      }
      guard case .sharedDisks(let disks) = error else {
        throw HarnessError("\(String(describing: error))")
      }
      #expect(disks == ["d (\(disk))"])
      #expect(try directory.names() == ["disk", "qemu.sh", "vm.img"])
    }

    /// A restore that fails leaves no overlay: QEMU does not start, or the VM is another one.
    @Test(arguments: [["-device", "no-such-device"], ["-device", "virtio-rng-pci"]])
    func aFailureLeavesNoOverlay(_ more: [String]) throws {
      let directory = try TemporaryDirectory()
      let disk = try Self.disk(in: directory)
      let image = directory.file("vm.img")
      let source = try QEMU(Self.vm(disk).configuration)
      try source.waitForGuestLines(2)
      _ = try source.saveVM(to: image) { $0.afterwards = .quit }
      #expect(throws: VMError.self) {
        try clone(image, Self.vm(disk, more), .map, directory.file("one")) { _, _ in }
      }
      #expect(try directory.names() == ["disk", "vm.img"])
    }
  }
}

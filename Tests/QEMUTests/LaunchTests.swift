import Foundation
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QEMUArguments
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// A QEMU that we start waits for an image, maps what it shall, and ends with us.
  @Suite struct LaunchTests {
    /// The places of the blocks in a file of 300 MiB, in the order of the names.
    private func memory(_ path: FilePath, _ blocks: [(String, UInt64)]) -> MappedMemory {
      var offset: UInt64 = 1 << 20
      return MappedMemory(
        path: path.string,
        blocks: blocks.map { idstr, mebibytes in
          defer { offset += (mebibytes + 1) << 20 }
          return MappedMemory.Block(idstr: idstr, byteCount: mebibytes << 20, offset: offset)
        })
    }

    struct Case: Sendable, CustomTestStringConvertible {
      var arguments: String
      var blocks: [(String, UInt64)]
      var program = "qemu-system-x86_64"
      var testDescription: String { "\(program) \(arguments)" }
    }

    static let cases =
      [
        Case(arguments: "-M q35 -m 16M", blocks: [("pc.ram", 16)]),
        Case(arguments: "-M q35", blocks: [("pc.ram", 16)]),
        Case(arguments: "-M pc -m slots=2,maxmem=1G", blocks: [("pc.ram", 16)]),
        Case(arguments: "-M \(oldest) -m 16M", blocks: [("pc.ram", 16)]),
        Case(
          arguments: "-M microvm -m 4M -mem-path /dev/shm -mem-prealloc",
          blocks: [("microvm.ram", 4)]
        ),
        Case(
          arguments:
            "-m 16M -object memory-backend-memfd,id=m,size=16M,share=on,merge=off,host-nodes=0,policy=bind "
            + "-M q35,memory-backend=m", blocks: [("m", 16)]),
        Case(
          arguments: "-m 16M -machine q35,memory-backend=m -object "
            + #"{"qom-type":"memory-backend-ram","id":"m","size":16777216,"host-nodes":[0],"policy":"bind"}"#,
          blocks: [("m", 16)]),
        Case(
          arguments: "-M q35 -m 8M,slots=2,maxmem=1G -object memory-backend-ram,id=n0,size=4M "
            + "-object memory-backend-ram,id=n1,size=4M -numa node,memdev=n0 -numa node,memdev=n1 "
            + "-object memory-backend-ram,id=d,size=128M -device pc-dimm,memdev=d",
          blocks: [("n0", 4), ("n1", 4), ("d", 128)]),
      ] + (oldest == "pc-q35-2.12" ? [oldDimm] : [])

    /// Old machine types name the block of a dimm in another way.
    private static let oldDimm = Case(
      arguments:
        "-M pc-q35-2.12 -m 8M,slots=2,maxmem=1G -object memory-backend-memfd,id=d,size=128M "
        + "-device pc-dimm,memdev=d", blocks: [("pc.ram", 8), ("/objects/d", 128)])

    /// The oldest type that we know where this QEMU has it: they go after some years.
    private static let oldest: String = {
      let types = (try? Subprocess.run(["qemu-system-x86_64", "-machine", "help"]).text) ?? ""
      return types.contains("pc-q35-2.12 ") ? "pc-q35-2.12" : "pc-q35-8.2"
    }()

    @Test(arguments: cases) func mapsTheImage(_ wanted: Case) throws {
      try expectMapped(wanted)
    }

    @Test(.enabled(if: RealQEMU.hasArm, "needs qemu-system-aarch64"))
    func mapsTheImageOnArm() throws {
      try expectMapped(
        Case(
          arguments: "-M virt -cpu max -m 128M", blocks: [("mach-virt.ram", 128)],
          program: "qemu-system-aarch64"))
    }

    private func expectMapped(_ wanted: Case) throws {
      let directory = try TemporaryDirectory()
      let image = try sparseFile(directory.file("i,mg"))
      let memory = memory(image, wanted.blocks)
      var line = try line(wanted.arguments, program: wanted.program)
      try line.prepareForRestore()
      let outcome = try line.map(memory)
      #expect(outcome.mapped.sorted() == wanted.blocks.map(\.0).sorted())
      let launch = try QEMULaunch(line)
      let qmp = try QMPConnection(socket: launch.control, name: "control")
      #expect(try status(qmp) == "inmigrate")
      let blocks = try rows(qmp)
      let maps = try text("/proc/\(launch.child.processID)/maps").split(separator: "\n")
        .filter { $0.hasSuffix(image.string) }
      for block in memory.blocks {
        let row = try #require(blocks[block.idstr])
        #expect(row.byteCount == block.byteCount)
        let map = try #require(maps.first { $0.hasPrefix(String(row.address, radix: 16) + "-") })
        let fields = map.split(separator: " ", omittingEmptySubsequences: true)
        #expect(fields[1] == "rw-p")
        #expect(UInt64(fields[2], radix: 16) == block.offset)
        let ends = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
        #expect(ends[1] - ends[0] == block.byteCount)
      }
      // The image itself is open for reading alone.
      #expect(try openFlags(of: image, in: launch.child.processID).allSatisfy { $0 & 3 == 0 })
    }

    @Test(arguments: ["q35", "numa"]) func memoryIsTheImage(name: String) throws {
      let directory = try TemporaryDirectory()
      let fixture = try Fixture(name)
      let image = try fixture.unpack(into: directory)
      let blocks = try #require(fixture.expected.blocks)
      let backends =
        "-m 7432K -object memory-backend-ram,id=n0,size=4M -object memory-backend-ram,id=n1,size=3336K "
        + "-numa node,memdev=n0 -numa node,memdev=n1"
      var line = try line("-M q35 " + (name == "numa" ? backends : "-m 8M"))
      try line.prepareForRestore()
      let outcome = try line.map(
        MappedMemory(
          path: image.string,
          blocks: blocks.map {
            MappedMemory.Block(idstr: $0.idstr, byteCount: $0.usedLength, offset: $0.pagesOffset)
          }))
      #expect(outcome.mapped == (name == "numa" ? ["n0", "n1"] : ["pc.ram"]))
      let launch = try QEMULaunch(line)
      let qmp = try QMPConnection(socket: launch.control, name: "control")
      // pmemsave would be refused by QEMU 11 while it waits for an image.
      let rows = try rows(qmp)
      for idstr in outcome.mapped {
        let block = try #require(blocks.first { $0.idstr == idstr })
        let row = try #require(rows[idstr])
        try expectSame(
          FilePath("/proc/\(launch.child.processID)/mem"), image,
          skipping: (row.address, block.pagesOffset), count: block.usedLength)
      }
    }

    @Test func devicesMemoryStaysItsOwn() throws {
      let directory = try TemporaryDirectory()
      let image = try sparseFile(directory.file("image"))
      var line = try line(
        "-M q35 -m 16M,maxmem=1G -object memory-backend-ram,id=v,size=128M -device virtio-mem-pci,memdev=v"
      )
      try line.prepareForRestore()
      let outcome = try line.map(memory(image, [("pc.ram", 16), ("0000:00:01.0/v", 128)]))
      #expect(outcome.mapped == ["pc.ram"])
      #expect(outcome.notes == [.keptBackend(id: "v", driver: "virtio-mem-pci")])
      let launch = try QEMULaunch(line)
      let qmp = try QMPConnection(socket: launch.control, name: "control")
      #expect(try rows(qmp)["0000:00:01.0/v"]?.byteCount == 128 << 20)
    }

    @Test func terminalKeepsItsMonitor() throws {
      var line = try QEMUCommandLine(
        parsing: ["qemu-system-x86_64", "-accel", "tcg", "-m", "16", "-nographic"])
      try line.prepareForRestore()
      let launch = try QEMULaunch(line)
      let qmp = try QMPConnection(socket: launch.control, name: "control")
      let devices = try qmp.execute("query-chardev").elements ?? []
      let serial = devices.first { $0["label"]?.string == "serial0" }
      #expect(serial?["filename"]?.string == "mux")
    }

    @Test func statusOfARefusalIsTold() throws {
      let directory = try TemporaryDirectory()
      var launch = try QEMULaunch(
        line("-M q35 -device nosuch"), .detached(socket: directory.file("s"), log: .none))
      #expect(throws: QMPError.self) {
        try QMPConnection(socket: launch.control, name: "control")
      }
      #expect(try launch.child.wait(for: .seconds(20)) == .exited(status: 1))
      #expect(launch.takeMessages().contains("'nosuch' is not a valid device model name"))
      #expect(launch.takeMessages() == "")
    }

    @Test func vmThatIsLetGoIsReachedAtItsSocket() throws {
      let directory = try TemporaryDirectory()
      let path = directory.file("s,ock")
      let launch = try QEMULaunch(
        line("-M microvm -m 4M -incoming defer"),
        .detached(socket: path, log: .file(directory.file("log"))))
      let ours = try QMPConnection(socket: launch.control, name: "control")
      #expect(try status(ours) == "inmigrate")
      let number = launch.letGo()
      let others = try QMPConnection(connecting: path)
      #expect(try status(others) == "inmigrate")
      #expect(throws: LaunchError.socketTaken(path: path.string)) {
        _ = try QEMULaunch(line("-M none"), .detached(socket: path, log: .none))
      }
      #expect(exists(path))
      _ = try others.execute("quit")
      waitpid(number, nil, 0)
      #expect(!exists(path))
      #expect(exists(directory.file("log")))
    }

    @Test func vmThatIsDroppedEndsAndLeavesNoSocket() throws {
      let directory = try TemporaryDirectory()
      let path = directory.file("socket")
      let number: Int32
      do {
        let launch = try QEMULaunch(
          line("-M microvm -m 4M -incoming defer"), .detached(socket: path, log: .none))
        number = launch.child.processID
        _ = try QMPConnection(socket: launch.control, name: "control")
        #expect(exists(path))
      }
      #expect(kill(number, 0) == -1)
      #expect(!exists(path))
    }

    /// The guest's serial port may say anything, zero bytes among it.
    @Test func logWithAZeroByteIsContinued() throws {
      let directory = try TemporaryDirectory()
      let log = directory.file("log")
      try Data("boot\0\u{1B}[0m\n".utf8).write(to: URL(fileURLWithPath: log.string))
      var launch = try QEMULaunch(
        line("-M nosuch"), .detached(socket: directory.file("s"), log: .file(log)))
      #expect(try launch.child.wait(for: .seconds(60)) == .exited(status: 1))
      let text = try text(log.string)
      #expect(text.hasPrefix("boot\0\u{1B}[0m\n") && text.contains("nosuch"))
      for mark in ["QEVM and text", "LibvirtQemudSave", "QFI\u{FB}"] {
        try Data(mark.unicodeScalars.map { UInt8($0.value) }).write(
          to: URL(fileURLWithPath: log.string))
        #expect(throws: LaunchError.notALog(path: log.string)) {
          _ = try QEMULaunch(
            line("-M nosuch"), .detached(socket: directory.file("s"), log: .file(log)))
        }
      }
    }

    @Test(.timeLimit(.minutes(1))) func logThatIsAPipeNeedsAReader() throws {
      let directory = try TemporaryDirectory()
      let pipe = directory.file("pipe")
      try Subprocess.succeed(["mkfifo", pipe.string])
      let mode = QEMULaunch.Mode.detached(socket: directory.file("s"), log: .file(pipe))
      #expect(throws: LaunchError.noReader(path: pipe.string)) {
        _ = try QEMULaunch(line("-M nosuch"), mode)
      }
      // SAFETY: the path's bytes end with a zero and live for the call.
      let reader = unsafe pipe.withPlatformString { unsafe open($0, O_RDONLY | O_NONBLOCK) }
      defer { close(reader) }
      var launch = try QEMULaunch(line("-M nosuch"), mode)
      #expect(try launch.child.wait(for: .seconds(60)) == .exited(status: 1))
      let said = FileHandle(fileDescriptor: reader, closeOnDealloc: false).availableData
      #expect(String(decoding: said, as: UTF8.self).contains("nosuch"))
    }

    @Test func missingProgramIsTold() throws {
      #expect(throws: LaunchError.self) {
        _ = try QEMULaunch(QEMUCommandLine(parsing: ["qemu-system-nowhere"]))
      }
    }

    // MARK: - Helpers

    private func line(
      _ text: String, program: String = "qemu-system-x86_64"
    ) throws -> QEMUCommandLine {
      try QEMUCommandLine(
        parsing: [program, "-accel", "tcg", "-nodefaults", "-display", "none"]
          + text.split(separator: " ").map(String.init))
    }

    private func sparseFile(_ path: FilePath) throws -> FilePath {
      try Subprocess.succeed(["truncate", "-s", "300M", path.string])
      return path
    }

    private func status(_ qmp: QMPConnection) throws -> String? {
      try qmp.execute("query-status")["status"]?.string
    }

    /// The used length and the address of each block, by its name.
    private func rows(
      _ qmp: QMPConnection
    ) throws -> [String: (byteCount: UInt64, address: UInt64)] {
      let table = try qmp.execute("x-query-ramblock")["human-readable-text"]?.string ?? ""
      var rows: [String: (byteCount: UInt64, address: UInt64)] = [:]
      for row in table.split(separator: "\n").dropFirst() {
        let fields = row.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        rows[fields[0]] = (
          try #require(UInt64(fields[4].dropFirst(2), radix: 16)),
          try #require(UInt64(fields[6].dropFirst(2), radix: 16))
        )
      }
      return rows
    }

    private func text(_ path: String) throws -> String {
      String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    }

    /// The flags with which a process has opened a file, for each of its descriptors.
    private func openFlags(of path: FilePath, in process: Int32) throws -> [UInt32] {
      let directory = "/proc/\(process)/fd"
      var found: [UInt32] = []
      for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
        let target = try? FileManager.default.destinationOfSymbolicLink(
          atPath: "\(directory)/\(name)")
        guard target == path.string else { continue }
        let info = try text("/proc/\(process)/fdinfo/\(name)").split(separator: "\n")
        let flags = try #require(info.first { $0.hasPrefix("flags:") }?.split(separator: "\t").last)
        found.append(try #require(UInt32(flags, radix: 8)))
      }
      try #require(!found.isEmpty)
      return found
    }
  }
}

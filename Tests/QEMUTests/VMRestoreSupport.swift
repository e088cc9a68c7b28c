import Foundation
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

/// The engines that are asked for by name.
let restoreEngines: [VMRestore.Engine] = [.map, .place, .qemu]

extension QEMU.Configuration {
  /// The command line of this VM, for a QEMU that the code under test starts. Its files go into `directory`: the guest,
  /// `serial`, and what `{directory}` stands for.
  func words(in directory: TemporaryDirectory) throws -> [String] {
    var words = [program] + accelerator.arguments
    words += [
      "-nodefaults", "-display", "none", "-machine", machine, "-m", "\(mebibytes)M", "-serial",
      "file:\(directory.file("serial"))",
    ]
    if let guest {
      try guest.write(to: directory.file("firmware.bin"))
      words += ["-bios", directory.file("firmware.bin").string]
    }
    if processors != 1 { words += ["-smp", "\(processors)"] }
    return words
      + arguments.map {
        $0.replacingOccurrences(of: "{directory}", with: directory.path.string)
      }
  }
}

/// A VM into which an image has been restored.
struct RestoredVM {
  let directory: TemporaryDirectory
  let qmp: QMPConnection
  let report: VMRestoreReport

  /// What its guest has printed.
  var serial: String { text(of: directory.file("serial")) }

  /// What its QEMU has said.
  var log: String { text(of: directory.file("log")) }

  /// How each block came into it.
  func way(of idstr: String) -> VMRestoreReport.Way? {
    report.blocks.first { $0.idstr == idstr }?.way
  }

  /// Waits until the guest has ended `count` lines here.
  func waitForLineEnds(_ count: Int) throws {
    let deadline = ContinuousClock.now + .seconds(300)
    while serial.utf8.count(where: { $0 == 0x0A }) < count {
      try #require(ContinuousClock.now < deadline, "the guest prints nothing; QEMU said: \(log)")
      Thread.sleep(forTimeInterval: 0.005)
    }
  }

  /// Fails unless the guest goes on from where `source` was saved, and QEMU has nothing to say.
  func expectGuestGoesOn(from source: QEMU) throws {
    try expectGuestGoesOn(from: source.serial, sum: source.guestSum)
  }

  /// Fails unless the guest goes on from `before`, what it printed before it was saved, and QEMU has nothing to say.
  func expectGuestGoesOn(from before: String, sum: UInt32) throws {
    try waitForLineEnds(3)
    try qmp.execute(.stop)
    try expectLines(of: before + serial, sum: sum)
    #expect(log == "")
  }

  /// Fails unless the memory at `places` is that of `source`, which is paused.
  func expectMemory(of source: QEMU, at places: [VMKind.Place]) throws {
    for place in places {
      let files = (directory.file("memory of the source"), directory.file("memory"))
      try source.execute(
        "pmemsave",
        ["val": place.range.lowerBound, "size": place.range.count, "filename": files.0.string])
      _ = try qmp.execute(
        "pmemsave",
        arguments: [
          "val": .unsigned(place.range.lowerBound), "size": .unsigned(UInt64(place.range.count)),
          "filename": .string(files.1.string),
        ])
      try expectSame(files.0, files.1)
    }
  }
}

/// Starts a QEMU by our code, restores `image` into it, and gives `body` the VM, which is gone afterwards.
///
/// - Parameter directory: for files that must be there before; otherwise a new one.
func restoring<Value>(
  _ image: FilePath, at offset: UInt64? = nil, by engine: VMRestore.Engine,
  into configuration: QEMU.Configuration, in directory: TemporaryDirectory? = nil,
  then afterwards: Ending = .asBefore,
  devices: [DeviceIdentity: any DeviceStateTarget] = [:],
  clearing limit: UInt64 = VMRestore().clearedBytesLimit, verifies: Bool = false,
  _ body: (RestoredVM) throws -> Value
) throws -> Value {
  let directory = try directory ?? TemporaryDirectory()
  var restore = VMRestore()
  restore.engine = engine
  restore.devices = devices
  restore.clearedBytesLimit = limit
  restore.verifies = verifies
  restore.afterwards = afterwards
  var launch = VMLaunch(restore, arguments: try configuration.words(in: directory))
  let socket = directory.file("socket")
  launch.mode = .detached(socket: socket, log: .file(directory.file("log")))
  let source = try RestoreSource(image, streamOffset: offset.map { FileOffset($0) })
  let result = try launch.run(source) { (running, outcome) throws(VMError) in
    // QEMU is killed when this closure ends, and no earlier.
    let running = running
    let result = Result {
      try body(
        RestoredVM(
          directory: directory, qmp: try QMPConnection(connecting: socket),
          report: outcome.report))
    }
    _ = running.child.processID
    return result
  }
  #expect(!exists(socket))
  return try result.get()
}

/// Restores `image` into a QEMU that waits, through its socket.
func restoringIntoWaiting<Value>(
  _ image: FilePath, at offset: UInt64? = nil, by engine: VMRestore.Engine,
  into configuration: QEMU.Configuration, then afterwards: Ending = .asBefore,
  _ body: (RestoredVM) throws -> Value
) throws -> Value {
  let qemu = try QEMU(configuration.destination)
  var restore = VMRestore()
  restore.engine = engine
  restore.afterwards = afterwards
  let report = try restore.run(
    try RestoreSource(image, streamOffset: offset.map { FileOffset($0) }),
    into: try QMPConnection(connecting: qemu.qmpSocket))
  return try body(
    RestoredVM(
      directory: qemu.directory, qmp: try QMPConnection(connecting: qemu.qmpSocket),
      report: report))
}

/// The text in a file; empty where there is none.
func text(of path: FilePath) -> String {
  String(decoding: FileManager.default.contents(atPath: path.string) ?? Data(), as: UTF8.self)
}

/// Waits until `condition` holds; fails after five minutes.
func waitUntil(
  _ condition: () throws -> Bool, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let deadline = ContinuousClock.now + .seconds(300)
  while try !condition() {
    try #require(ContinuousClock.now < deadline, sourceLocation: sourceLocation)
    Thread.sleep(forTimeInterval: 0.005)
  }
}

/// The QEMUs whose arguments name `directory`.
func processes(naming directory: TemporaryDirectory) throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { number in
    guard number.first?.isNumber == true else { return false }
    let line = FileManager.default.contents(atPath: "/proc/\(number)/cmdline") ?? Data()
    return String(decoding: line, as: UTF8.self).contains("file:\(directory.path)")
  }
}

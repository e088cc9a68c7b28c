import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// A command that is stopped under way leaves nothing behind.
///
/// The work is big without taking room before: pages that are holes in the source, but must be present in the image.
@Suite(.serialized)
struct InterruptionTests {
  let directory: TemporaryDirectory
  let output: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
    output = try TemporaryDirectory()
  }

  static let byteCount = 16 << 30

  /// A directory that describes a guest whose pages are all zero, and all to be written nevertheless if `areForced`.
  private func makeParts(areForced: Bool = true) throws -> String {
    let forced = areForced ? "[[0,\(Self.byteCount / 4096)]]" : "[]"
    let manifest = """
      {"blocks":[{"file":"a.ram","idstr":"a","pageSize":4096,"presentZeroPages":\(forced),\
      "usedLength":\(Self.byteCount)}],"configuration":[{"capabilities":["mapped-ram"]}],\
      "container":"qemu","machineType":"none","ramSectionID":1,"schemaVersion":1,"streamOffset":0,\
      "vmstateFile":"vmstate.bin"}
      """
    let parts = directory.file("parts")
    try FileManager.default.createDirectory(
      atPath: parts.string, withIntermediateDirectories: true)
    func write(_ name: String, _ data: Data) throws {
      try data.write(to: URL(fileURLWithPath: parts.appending(name).string))
    }
    try write("image.json", Data(manifest.utf8))
    try write("vmstate.bin", Data([3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 16, 0x7E, 0, 0, 0, 1, 0]))
    try write("a.ram", Data())
    try Subprocess.succeed(["truncate", "-s", "\(Self.byteCount)", parts.appending("a.ram").string])
    return parts.string
  }

  private func startSave(_ options: [String] = []) throws -> RunningTool {
    try RunningTool.busy(
      ["pack", try makeParts(), output.file("vm.img").string]
        + ["--channels", "1", "--queue-depth", "1", "--request-size", "64K"] + options)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
  func aSignalStopsASave(number: Int32) throws {
    let tool = try startSave()
    tool.send(number)
    #expect(try tool.wait() == 130)
    #expect(
      tool.errors.contains(
        #"{"error":{"kind":"interrupted","message":"Interrupted; nothing was left behind.","offset":null,"path":null,"reasons":[]},"schemaVersion":1,"status":130,"type":"error"}"#
      ))
    #expect(try output.names() == [])
  }

  @Test func aKilledSaveLeavesNothing() throws {
    let tool = try startSave()
    tool.send(SIGKILL)
    #expect(try tool.wait() == 128 + SIGKILL)
    #expect(try output.names() == [])
  }

  @Test func anOlderImageSurvivesASignal() throws {
    let old = output.file("vm.img")
    try Data("old".utf8).write(to: URL(fileURLWithPath: old.string))
    let tool = try startSave(["--force"])
    tool.send(SIGINT)
    #expect(try tool.wait() == 130)
    #expect(try output.names() == ["vm.img"])
    #expect(try Data(contentsOf: URL(fileURLWithPath: old.string)) == Data("old".utf8))
  }

  @Test func anInterruptedSaveInPlaceLeavesNoImage() throws {
    let old = output.file("vm.img")
    // A whole image is there before.
    try Tool.succeed(["pack", try makeParts(areForced: false), old.string])
    let tool = try startSave(["--in-place"])
    tool.send(SIGINT)
    #expect(try tool.wait() == 130)
    #expect(tool.errors.contains("vm.img: interrupted; it contains no image now."))
    #expect(try Tool.run(["inspect", old.string]).status == 65)
  }

  @Test(arguments: [SIGINT, SIGKILL])
  func aSignalStopsBench(number: Int32) throws {
    let tool = try RunningTool.busy(
      ["bench", output.path.string, "--memory", "made"]
        + ["--size", "\(Self.byteCount)"])
    tool.send(number)
    #expect(try tool.wait() == (number == SIGINT ? 130 : 128 + number))
    #expect(try output.names() == [])
  }

  /// An image whose slots are all holes though its bitmap says that they are present.
  private func makeHollowImage() throws -> String {
    let path = directory.file("hollow.img")
    try Tool.succeed(
      ["pack", try makeParts(areForced: false), path.string])
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let place = try #require(Image(reading: file).blocks[0].layout.bitmap)
    try file.write(
      [UInt8](repeating: 0xFF, count: Int(place.byteCount.rawValue)),
      at: place.lowerBound.rawValue)
    return path.string
  }

  @Test(arguments: [SIGINT, SIGKILL])
  func aSignalStopsARestore(number: Int32) throws {
    let tool = try RunningTool.busy(
      ["unpack", try makeHollowImage(), output.file("parts").string]
        + ["--channels", "1", "--queue-depth", "1", "--request-size", "64K"])
    tool.send(number)
    #expect(try tool.wait() == (number == SIGINT ? 130 : 128 + number))
    // A killed process cannot take back the directory, but it is empty.
    let expected = number == SIGINT ? [] : ["parts"]
    #expect(try output.names() == expected)
    if number == SIGKILL {
      let parts = output.file("parts").string
      #expect(try FileManager.default.contentsOfDirectory(atPath: parts) == [])
    }
  }

  /// An image of very many commands, which take a while to be read.
  @Test(arguments: [SIGINT, SIGTERM])
  func aSignalStopsInspect(number: Int32) throws {
    let path = directory.file("commands.img")
    try Tool.succeed(
      ["pack", try makeParts(areForced: false), path.string])
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let tail = try #require(Image(reading: file).tail).lowerBound.rawValue
    try file.write((0..<1_000_000).flatMap { _ in [8, 0, 11, 0, 0] as [UInt8] }, at: tail)
    let tool = try RunningTool(["inspect", path.string])
    try tool.wait(for: "listening") { try tool.blocks(number) }
    tool.send(number)
    #expect(try tool.wait() == 130)
    #expect(tool.errors == "Error: Interrupted.\n")
    #expect(tool.output == "")
  }

  /// As nohup does it, and shells for work in the background.
  @Test func aSignalThatWasIgnoredFromTheStartStaysIgnored() throws {
    let tool = try RunningTool.busy(
      prefix: ["env", "--ignore-signal=INT"],
      ["bench", output.path.string, "--memory", "made", "--size", "256M", "--repeat", "3"])
    // Between two instructions of its work: it cannot have come to its end before the signal.
    tool.send(SIGSTOP)
    try #require(tool.isRunning && tool.output == "", "\(tool.errors)")
    tool.send(SIGINT)
    tool.send(SIGCONT)
    #expect(try tool.wait() == 0, "\(tool.errors)")
    #expect(tool.output != "")
  }
}

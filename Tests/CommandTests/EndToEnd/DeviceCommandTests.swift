import Foundation
import LinuxIO
import MappedRAM
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAMFormat

/// States of devices by the built command: there and back, and how each failure ends.
@Suite struct DeviceCommandTests {
  let directory: TemporaryDirectory
  let parts: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    parts = directory.file("parts")
    let image = try Fixture("microvm").unpack(into: directory)
    try Tool.succeed(["unpack", image.string, parts.string])
    var generator = SeededGenerator()
    // Two buffers and a byte.
    try Data(generator.bytes(2 << 20 + 1)).write(to: URL(fileURLWithPath: state))
  }

  private var state: String { directory.file("state").string }
  private var target: String { directory.file("target").string }

  private func device(_ text: String) -> [String] { ["--device", "d=\(text)"] }

  private func save(_ devices: [String]) -> [String] {
    ["pack", parts.string, target] + devices
  }

  /// An image with the states of "d" and "e:1", which are the same.
  private func makeImage() throws -> String {
    let image = directory.file("image").string
    try Tool.succeed(
      ["pack", parts.string, image] + device(state)
        + ["--device", "e:1=|cat '\(state)'"])
    return image
  }

  private func expectFailure(
    _ status: Int32, _ message: String, _ arguments: [String],
    location: SourceLocation = #_sourceLocation
  ) throws {
    let before = try directory.names()
    let result = try Tool.run(arguments)
    #expect(result.status == status, "\(result.errors)", sourceLocation: location)
    #expect(result.errors.hasPrefix("Error: "), sourceLocation: location)
    #expect(result.errors.contains(message), "\(result.errors)", sourceLocation: location)
    #expect(try directory.names() == before, sourceLocation: location)
  }

  @Test func thereAndBack() throws {
    let image = try makeImage()
    let back = directory.file("back")
    try Tool.succeed(
      ["unpack", image, target, "--device-last", "d"] + device(back.string)
        + ["--device", "e:1=|cmp - '\(state)'"])
    try Subprocess.succeed(["cmp", back.string, state])
  }

  // MARK: Saving

  static let sources: [(String, String)] = [
    ("|echo no GPU >&2; exit 3", #"device "d": the command ended with status 3 and said: no GPU"#),
    ("|head -c 5000000 /dev/zero; exit 4", "the command ended with status 4, without a word"),
    ("|kill -9 $$", "the command was ended by signal 9"),
    ("|no-such-command", "ended with status 127 and said: "),
    ("/no/such/file", "/no/such/file: cannot open: No such file or directory"),
    // A read that fails.
    ("/proc/self/mem", "/proc/self/mem: cannot read: Input/output error"),
    // Short reads: files that are said to have 4096 bytes, or none.
    ("/sys/kernel/mm/transparent_hugepage/enabled", "bytes; expected 4096."),
    ("/proc/version", "there are more bytes of state than the 0 that were announced"),
  ]

  @Test(arguments: sources)
  func aSourceThatFailsIsNamed(_ source: String, _ message: String) throws {
    try expectFailure(74, message, save(device(source)))
    // Beside one that never ends.
    try expectFailure(74, message, save(device(source) + ["--device", "e=|sleep 1000"]))
  }

  // MARK: Loading

  static let targets: [(String, String)] = [
    (
      "|echo no room >&2; exit 5", #"device "d": the command ended with status 5 and said: no room"#
    ),
    ("|cat >/dev/null; exit 6", "the command ended with status 6, without a word"),
    // How much of it the pipe takes before it ends is chance.
    ("|head -c 10 >/dev/null", "of its 3 buffers"),
    ("|kill -9 $$", "the command was ended by signal 9"),
    ("/dev/full", "/dev/full: cannot write: No space left on device"),
    ("/no/such/file", "/no/such/file: cannot open: No such file or directory"),
  ]

  @Test(arguments: targets)
  func aTargetThatFailsIsNamed(_ end: String, _ message: String) throws {
    let restore = ["unpack", try makeImage(), target]
    try expectFailure(74, message, restore + device(end))
    try expectFailure(74, message, restore + device(end) + ["--device-last", "d"])
    try expectFailure(74, message, restore + device(end) + ["--device", "e:1=|sleep 1000"])
  }

  @Test func aDeviceThatTheImageHasNotIsNamed() throws {
    try expectFailure(
      64, #"The image has no state of a device "f"; it has "d", "e:1"."#,
      ["unpack", try makeImage(), target, "--device", "f=x"])
  }

  /// Cut anywhere behind the area's first byte: in its header, its buffers, its table, or right behind it, where another one may have been.
  @Test func anImageThatIsCutOffIsRefused() throws {
    let image = try makeImage()
    let file = try File.open(FilePath(image), access: .readWrite, directIO: .off)
    let area = try #require(try Image(reading: file).deviceArea)
    let restore = ["unpack", image, target] + device("/dev/null")
    // What closes the areas is not needed.
    try file.truncate(to: file.size() - 1)
    let told = try Tool.succeed(
      ["unpack", image, directory.file("other").string] + device("/dev/null"))
    #expect(told.errors.contains("Warning: ") && told.errors.contains("cut off"), "\(told.errors)")
    let ends: [FileOffset] = [
      area.end, area.table + ByteCount(1), area.start + ByteCount(70000),
      area.start + ByteCount(64), area.start + ByteCount(63), area.start + ByteCount(1),
    ]
    for end in ends {
      try file.truncate(to: end.rawValue)
      try expectFailure(65, "cut off", restore)
    }
  }

  /// `inspect` shows the areas, and where they are damaged it says so.
  @Test func areasAreShown() throws {
    let image = try makeImage()
    let text = String(decoding: try Tool.succeed(["inspect", image]).output, as: UTF8.self)
    #expect(text.contains("Areas         device states (2 devices, 4.00 MiB) at 0x"), "\(text)")
    func areas(_ status: Int32) throws -> [String: Any] {
      let result = try Tool.run(["inspect", "--json", image])
      #expect(result.status == status)
      let object = try JSONSerialization.jsonObject(with: Data(result.output))
      return try #require((object as? [String: Any])?["areas"] as? [String: Any])
    }
    let whole = try areas(0)
    #expect(whole["state"] as? String == "whole" && whole["problem"] is NSNull)
    let list = try #require(whole["areas"] as? [[String: Any]])
    #expect(list.map { $0["kind"] as? String } == ["DEVS"])
    #expect(list[0]["isNeeded"] as? Bool == true && list[0]["version"] as? Int == 1)
    let file = try File.open(FilePath(image), access: .readWrite, directIO: .off)
    try file.write([0x20], at: file.size() - 1)
    let damaged = try areas(65)
    #expect(damaged["state"] as? String == "damaged")
    let problem = try #require(damaged["problem"] as? [String: Any])
    #expect((problem["message"] as? String)?.contains("the line that closes the areas") == true)
    let told = String(decoding: try Tool.run(["inspect", image]).output, as: UTF8.self)
    #expect(told.contains("Areas         damaged, see below"))
  }

  /// The number of the second buffer of "d" is changed; the sum is right.
  @Test(arguments: [0, 2, UInt32.max])
  func anImageWithWrongNumbersIsRefused(_ number: UInt32) throws {
    let image = try makeImage()
    let file = try File.open(FilePath(image), access: .readWrite, directIO: .off)
    let area = try #require(try Image(reading: file).deviceArea)
    let start = area.table.rawValue
    var table = try file.readBytes(
      at: start, count: Int(area.tableByteCount.rawValue))
    // Two counts; the name with its length, instance, count and sum of bytes; and the first buffer.
    let place = 8 + 2 + 4 + 4 + 8 + StoredBuffer.byteCount
    #expect(Array(table[place..<(place + 4)]) == [0, 0, 0, 1])
    table.replaceSubrange(place..<(place + 4), with: Self.bigEndian(number))
    try file.write(table, at: start)
    var bytes = ByteOutput(at: area.table)
    bytes.write(table)
    let header = AreaHeader(
      .devices, version: DeviceArea.version, isNeeded: true, range: area.start..<area.end,
      table: bytes)
    try file.write(header.encoded.bytes, at: area.start.rawValue)
    try expectFailure(
      65, "device \"d\"", ["unpack", image, target] + device("/dev/null"))
  }

  private static func bigEndian(_ number: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * $0)) }
  }

  // MARK: Ends that never come

  /// A command that writes its process number, and then never ends and touches neither input nor output.
  private var sleeper: String { "|echo $$ > '\(directory.file("pid"))'; exec sleep 1000" }

  private func sleeperID() throws -> Int32 {
    let deadline = ContinuousClock.now + .seconds(300)
    while true {
      let text = (try? String(contentsOfFile: directory.file("pid").string, encoding: .utf8)) ?? ""
      if text.hasSuffix("\n"), let number = Int32(text.dropLast()) { return number }
      try #require(ContinuousClock.now < deadline, "it does not start")
      Thread.sleep(forTimeInterval: 0.005)
    }
  }

  private func expectEnds(_ arguments: [String], _ number: Int32) throws {
    let tool = try RunningTool(arguments)
    let sleeper = try sleeperID()
    tool.send(number)
    #expect(try tool.wait() == (number == SIGKILL ? 128 + number : 130))
    if number != SIGKILL { #expect(tool.errors.contains("Interrupted")) }
    // What was started ends with it; where it is killed, a moment later.
    let deadline = ContinuousClock.now + .seconds(300)
    while kill(sleeper, 0) == 0 {
      try #require(ContinuousClock.now < deadline, "the device's command goes on")
      Thread.sleep(forTimeInterval: 0.005)
    }
    try FileManager.default.removeItem(atPath: directory.file("pid").string)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
  func aSaveThatNeverEndsCanBeEnded(number: Int32) throws {
    let before = try directory.names()
    try expectEnds(save(device(sleeper) + ["--device", "e=\(state)"]), number)
    #expect(try directory.names() == before)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
  func aRestoreThatNeverEndsCanBeEnded(number: Int32) throws {
    let image = try makeImage()
    let before = try directory.names()
    try expectEnds(
      ["unpack", image, target] + device(sleeper), number)
    // A killed process cannot take back the directory.
    let more = number == SIGKILL ? ["target"] : []
    #expect(try directory.names() == (before + more).sorted())
  }

  /// A FIFO that nobody opens at the other end.
  @Test func aFIFOThatNobodyOpensCanBeLeft() throws {
    let image = try makeImage()
    let fifo = directory.file("fifo").string
    try Subprocess.succeed(["mkfifo", fifo])
    let before = try directory.names()
    let restore = ["unpack", image, target] + device(fifo)
    for arguments in [restore, restore + ["--device-last", "d"]] {
      let tool = try RunningTool(arguments)
      try tool.wait(for: "it to listen to signals", every: .milliseconds(2)) {
        try tool.blocks(SIGINT)
      }
      // Until it waits for the other end.
      Thread.sleep(forTimeInterval: 0.3)
      tool.send(SIGINT)
      #expect(try tool.wait() == 130)
      #expect(tool.errors.contains("Interrupted"))
      #expect(try directory.names() == before)
    }
  }
}

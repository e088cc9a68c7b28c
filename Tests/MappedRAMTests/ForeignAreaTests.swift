import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Areas of devices' states that somebody else wrote, with buffers at places that ours would not choose (FORMAT.md, 10.2).
@Suite struct ForeignAreaTests {
  private struct Device {
    var identity: DeviceIdentity
    var buffers: [[UInt8]]
  }

  /// An image with an area of `devices`, each buffer at `place`, counted from the header's end.
  private static func image(
    _ devices: [Device], at places: [[UInt64]], in directory: TemporaryDirectory
  ) throws -> FilePath {
    var generator = SeededGenerator()
    let path = directory.file("foreign")
    _ = try ImageSave(TestGuest(pages: [3], using: &generator).plan()).run(to: path)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let start = FileOffset(try file.size())
    let first = start + ByteCount(AreaHeader.byteCount)
    var end = first
    var stored: [StoredDevice] = []
    for (device, places) in zip(devices, places) {
      var buffers: [StoredBuffer] = []
      for (bytes, place) in zip(device.buffers, places) {
        let buffer = StoredBuffer(
          offset: first + ByteCount(place), byteCount: ByteCount(bytes.count),
          isConfiguration: buffers.count == 1, sum: ContentSum(of: bytes))
        try file.write(bytes, at: buffer.offset.rawValue)
        end = max(end, buffer.offset + buffer.byteCount)
        buffers.append(buffer)
      }
      stored.append(StoredDevice(device.identity, buffers: buffers))
    }
    let area = DeviceArea(start: start, table: end, devices: stored)
    let (header, table) = area.encoded()
    var closing = ByteOutput(at: area.end)
    AreaClosing(firstArea: start, text: nil).encode(into: &closing)
    try file.write(closing.bytes, at: closing.base.rawValue)
    try file.write(table.bytes, at: table.base.rawValue)
    try file.write(header.bytes, at: header.base.rawValue)
    #expect(try Image(reading: file).problems == [])
    return path
  }

  /// Takes the image apart, puts it together again and reads the devices' states.
  private static func expectRoundTrip(
    _ devices: [Device], at places: [[UInt64]], location: SourceLocation = #_sourceLocation
  ) throws {
    let directory = try TemporaryDirectory()
    let original = try image(devices, at: places, in: directory)
    let (parts, copy) = (directory.file("parts"), directory.file("copy"))
    _ = try DirectoryRestore(ImageRestore(File.open(original, access: .read)), to: parts).run()
    _ = try ImageSave(SavePlan.ofDirectory(parts)).run(to: copy)
    let file = try File.open(copy, access: .read)
    let area = try #require(try Image(reading: file).deviceArea, sourceLocation: location)
    #expect(area.devices.map(\.identity) == devices.map(\.identity), sourceLocation: location)
    for (stored, device) in zip(area.devices, devices) {
      let found = try stored.buffers.map {
        try file.readBytes(at: $0.offset.rawValue, count: Int($0.byteCount.rawValue))
      }
      #expect(found == device.buffers, "\(device.identity)", sourceLocation: location)
      #expect(
        stored.buffers.indices.filter { stored.buffers[$0].isConfiguration }
          == (device.buffers.count > 1 ? [1] : []), sourceLocation: location)
    }
  }

  private static func device(_ name: String, _ sizes: [Int]) -> Device {
    Device(
      identity: DeviceIdentity(name),
      buffers: sizes.enumerated().map { [UInt8](repeating: UInt8($0 + 1), count: $1) })
  }

  /// Two buffers right behind the header, where no aligned place is.
  @Test func buffersBeforeTheFirstAlignedPlace() throws {
    try Self.expectRoundTrip([Self.device("gpu", [100, 50])], at: [[0, 100]])
  }

  /// One that reaches over the first aligned place, and others that stand behind it, of two devices.
  @Test func buffersOnBothSidesOfTheFirstAlignedPlace() throws {
    try Self.expectRoundTrip(
      [Self.device("gpu", [100, 5000, 8]), Self.device("nic", [7, 9])],
      at: [[8, 200, 20_000], [0, 6000]])
  }

  /// Any order and any distances, empty buffers among them.
  @Test(arguments: 0..<20) func buffersAnywhere(_ round: UInt64) throws {
    var generator = SeededGenerator(seed: SeededGenerator.seedOfRun &+ round)
    let sizes = (0..<Int.random(in: 1...12, using: &generator)).map { _ in
      Bool.random(using: &generator) ? Int.random(in: 0...5000, using: &generator) : 3
    }
    var next: UInt64 = 0
    var places = [UInt64](repeating: 0, count: sizes.count)
    for index in sizes.indices.shuffled(using: &generator) {
      next += UInt64.random(in: 0...(Bool.random(using: &generator) ? 3 : 5000), using: &generator)
      places[index] = next
      next += UInt64(sizes[index])
    }
    let middle = Int.random(in: 1...sizes.count, using: &generator)
    var devices = [Self.device("a", Array(sizes[..<middle]))]
    var split = [Array(places[..<middle])]
    if middle < sizes.count {
      devices.append(Self.device("b", Array(sizes[middle...])))
      split.append(Array(places[middle...]))
    }
    try Self.expectRoundTrip(devices, at: split)
  }
}

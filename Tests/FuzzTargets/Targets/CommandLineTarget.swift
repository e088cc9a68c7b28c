import QEMUArguments
import QEMUControl

/// A command line of QEMU, a word a line, as a restore takes it apart and puts it together.
enum CommandLineTarget {
  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    let words = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    var line: QEMUCommandLine
    do throws(LaunchRefusal) {
      line = try QEMUCommandLine(parsing: words)
    } catch {
      _ = error.description
      return false
    }
    try require([line.program] + line.words == words, "words do not come back")
    for value in line.options.compactMap(\.value) {
      for key in ["qom-type", "driver", "type"] { try checkProperties(value, key) }
    }
    try clone(line)
    _ = line.machineType
    let size = line.memoryByteCount
    guard let mapped = try map(&line, mainBytes: size ?? 128 << 20) else { return false }
    let before = line
    do throws(LaunchRefusal) {
      try line.prepareForRestore()
    } catch {
      _ = error.description
      try require(line == before, "a line that is refused was changed")
      return false
    }
    try require(line.has("incoming") && line.startsPaused, "a restore is not prepared")
    return !mapped.isEmpty
  }

  /// Puts overlays in the place of disks: then they are the disks.
  private static func clone(_ line: QEMUCommandLine) throws(Finding) {
    var line = line
    let disks: [DiskArgument]
    let found: [DiskArgument]
    do throws(LaunchRefusal) {
      disks = try line.writableDisks()
      for disk in disks { line.replace(disk, by: "/a,b=c.qcow2") }
      found = try line.writableDisks()
    } catch {
      _ = error.description
      return
    }
    try require(found.map(\.index) == disks.map(\.index), "other disks than before")
    try require(
      found.allSatisfy { $0.file == "/a,b=c.qcow2" && $0.format != .raw }, "a disk was kept")
  }

  /// A list of properties is read as it was written.
  private static func checkProperties(_ value: String, _ impliedKey: String) throws(Finding) {
    guard let properties = QEMUProperties(value, impliedKey: impliedKey) else { return }
    guard let read = QEMUProperties(properties.text, impliedKey: "x") else {
      throw Finding("properties that were written cannot be read: \(properties.text)")
    }
    // JSON numbers and flags have no other way to be written in a list.
    try require(read == properties, "\(value) is written as \(properties.text)")
  }

  /// Lets the memory come from an image; the names of what is mapped, or `nil` where the line was refused.
  private static func map(
    _ line: inout QEMUCommandLine, mainBytes: UInt64
  ) throws(Finding) -> [String]? {
    let memory = MappedMemory(
      path: "/a,b=c.img",
      blocks: [
        .init(idstr: "pc.ram", byteCount: mainBytes, offset: 1 << 20),
        .init(idstr: "mem0", byteCount: 16 << 20, offset: 2 << 20),
        .init(idstr: "/objects/mem1", byteCount: 16 << 20, offset: 3 << 20),
        .init(idstr: "vga.vram", byteCount: 16 << 20, offset: 4 << 20),
      ], reserves: false)
    let before = line
    let outcome: MappedMemory.Outcome
    do throws(LaunchRefusal) {
      outcome = try line.map(memory)
    } catch {
      _ = error.description
      try require(line == before, "a line that is refused was changed")
      return nil
    }
    for note in outcome.notes { _ = note.description }
    let objects = line.values(of: "object")
      .compactMap { QEMUProperties($0, impliedKey: "qom-type") }
      .filter { $0["mem-path"] == memory.path }
    for idstr in outcome.mapped {
      guard let block = memory.blocks.first(where: { $0.idstr == idstr }) else {
        throw Finding("a block that is not there is mapped")
      }
      try require(
        objects.contains {
          $0["offset"] == String(block.offset) && $0["size"] == String(block.byteCount)
            && $0["share"] == "off" && $0["qom-type"] == "memory-backend-file"
        }, "\(idstr) is not mapped")
    }
    if outcome.mapped.isEmpty { try require(line == before, "a line was changed for nothing") }
    return outcome.mapped
  }
}

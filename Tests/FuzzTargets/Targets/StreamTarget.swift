import LinuxIO
import MappedRAM
import MappedRAMFormat

/// Plain migration streams: what a stream was read as makes the tail of an image that is read as the same.
enum StreamTarget {
  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    let file = try File.holding(bytes)
    let stream: DeviceStateStream
    do throws(ImageError) {
      stream = try DeviceStateStream(reading: file)
    } catch {
      guard case .format(let problem, _) = error else { throw Finding("a stream: \(error)") }
      _ = problem.description
      return false
    }
    for block in stream.blocks {
      try require(
        block.contents.map { $0.byteCount == block.usedLength.rawValue } ?? true,
        "a block has contents of another length")
    }
    for (section, next) in zip(stream.sections, stream.sections.dropFirst()) {
      try require(section.offset + section.byteCount <= next.offset, "sections overlap")
    }
    try checkTail(of: stream)
    return true
  }

  private static func checkTail(of stream: DeviceStateStream) throws(Finding) {
    // A stream of devices alone does not say what machine they are of.
    let prologue = stream.prologue(
      stream.configuration?.asMappedRAM ?? .mappedRAM(machineType: "none"))
    let pageSize =
      stream.blocks.first?.block.pageSize ?? stream.configuration?.targetPageSize
      ?? stream.description?.pageSize ?? .fourKiB
    let tail: [UInt8]
    do throws(ImageError) {
      var output = ByteOutput()
      let parts = try stream.tail(
        after: prologue, pageSize: pageSize, switchoverStart: true, runState: .paused)
      for part in parts { output.write(try bytes(of: part)) }
      tail = output.bytes
    } catch {
      throw Finding("the tail of an image: \(error)")
    }
    // Without footers nothing in a tail says that there are none.
    guard stream.hasFooters else { return }
    let file = try File.holding(tail)
    let read = try succeed("the tail of an image, read") { () throws(ImageError) in
      try DeviceStateStream(
        reading: file, pageSize: pageSize, ramSectionID: prologue.ramSectionID)
    }
    let ramStart =
      stream.sections.first {
        $0.type == .start && $0.identity?.idstr == SectionIdentity.ram.idstr
      }?.offset ?? .zero
    let devices = stream.devices.filter { $0.bytes.lowerBound >= ramStart }
    try require(
      read.devices.map(\.identity) == devices.map(\.identity)
        && read.devices.map(\.body.byteCount) == devices.map(\.body.byteCount),
      "the tail of an image has other devices")
    try require(read.hasSwitchoverStart, "the tail lacks its command")
  }

  private static func bytes(of part: StreamBytes) throws(ImageError) -> [UInt8] {
    switch part {
    case .bytes(let bytes): return bytes
    case .file(let file, let range):
      return try ImageFile(file).read(Int(range.byteCount.rawValue), at: range.lowerBound)
    case .reserved: return []
    }
  }
}

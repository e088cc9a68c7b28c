extension DeviceArea {
  /// The bytes of header and table; the buffers' are written by somebody else.
  ///
  /// - Complexity: O(devices + buffers).
  package func encoded() -> (header: ByteOutput, table: ByteOutput) {
    var table = ByteOutput(at: self.table)
    table.writeBigEndian(UInt32(devices.count))
    table.writeBigEndian(UInt32(bufferCount))
    for device in devices { device.encode(into: &table) }
    let header = AreaHeader(
      .devices, version: Self.version, isNeeded: true, range: start..<end, table: table)
    return (header.encoded, table)
  }

  /// Makes sure that a table is no longer than one can be, before it is read.
  ///
  /// - Throws: `overLimit`; `deviceArea`, where the table does not end the area.
  package static func check(_ header: AreaHeader) throws(FormatError) {
    guard header.table.byteCount <= mostTableBytes else {
      throw FormatError(
        .overLimit(
          .areaTableBytes, found: header.table.byteCount.rawValue, limit: mostTableBytes.rawValue),
        at: header.range.lowerBound, in: .area(header.kind))
    }
    guard header.table.upperBound == header.range.upperBound else {
      throw FormatError(
        .deviceArea(
          .tableEnd(found: header.table.upperBound, expected: header.range.upperBound)),
        at: header.range.lowerBound, in: .area(header.kind))
    }
  }

  /// Reads the table that `header` tells of; `input` has just its bytes.
  ///
  /// - Throws: `area`, `deviceArea`, `truncated`, the errors of names, `overLimit`.
  /// - Complexity: O(n log n) of the buffers.
  package init(header: AreaHeader, parsing input: inout ByteInput) throws(FormatError) {
    try Self.check(header)
    let context = FormatError.Context.area(header.kind)
    start = header.range.lowerBound
    table = header.table.lowerBound
    devices = []
    let tableEnd = header.table.upperBound
    var copy = input
    try header.check(
      table: copy.readBytes(Int(header.table.byteCount.rawValue), in: context))
    let (deviceCount, allBuffers) = try Self.counts(parsing: &input, in: context)
    var names: Set<DeviceIdentity> = []
    for _ in 0..<deviceCount {
      let place = input.offset
      let left = allBuffers - bufferCount
      let device = try StoredDevice(parsing: &input, buffersLeft: left, area: header)
      guard names.insert(device.identity).inserted else {
        throw FormatError(
          .deviceArea(.deviceTwice), at: place, in: .device(device.identity))
      }
      devices.append(device)
    }
    guard input.offset == tableEnd, bufferCount == allBuffers else {
      throw FormatError(
        .deviceArea(.tableEnd(found: input.offset, expected: tableEnd)), at: input.offset,
        in: context)
    }
    try checkOverlaps()
  }

  /// Reads how many devices and buffers there are.
  private static func counts(
    parsing input: inout ByteInput, in context: FormatError.Context
  ) throws(FormatError) -> (devices: Int, buffers: Int) {
    let place = input.offset
    let devices = try input.readBigEndian(UInt32.self, in: context)
    guard devices > 0 else { throw FormatError(.deviceArea(.noDevices), at: place, in: context) }
    guard devices <= ImageLimits.devices else {
      throw FormatError(
        .overLimit(.devices, found: UInt64(devices), limit: UInt64(ImageLimits.devices)),
        at: place, in: context)
    }
    let buffersPlace = input.offset
    let buffers = try input.readBigEndian(UInt32.self, in: context)
    guard buffers <= ImageLimits.deviceBuffers else {
      throw FormatError(
        .overLimit(
          .deviceBuffers, found: UInt64(buffers), limit: UInt64(ImageLimits.deviceBuffers)),
        at: buffersPlace, in: context)
    }
    return (Int(devices), Int(buffers))
  }

  private func checkOverlaps() throws(FormatError) {
    let all = devices.flatMap { device in
      device.buffers.filter { $0.byteCount > .zero }.map { (device.identity, $0) }
    }.sorted { $0.1.offset < $1.1.offset }
    for (left, right) in zip(all, all.dropFirst())
    where left.1.offset + left.1.byteCount > right.1.offset {
      throw FormatError(
        .deviceArea(.buffersOverlap(with: left.0)), at: right.1.offset, in: .device(right.0))
    }
  }
}

extension StoredDevice {
  func encode(into output: inout ByteOutput) {
    output.writeCountedName(identity.idstr)
    output.writeBigEndian(identity.instanceID)
    output.writeBigEndian(UInt32(buffers.count))
    output.writeBigEndian(byteCount.rawValue)
    for (number, buffer) in buffers.enumerated() {
      var flags: StoredBufferFlags = number == buffers.count - 1 ? [.last] : []
      if buffer.isConfiguration { flags.insert(.configuration) }
      output.writeBigEndian(UInt32(number))
      output.writeBigEndian(flags.rawValue)
      output.writeBigEndian(buffer.offset.rawValue)
      output.writeBigEndian(buffer.byteCount.rawValue)
      buffer.sum.encode(into: &output)
    }
  }

  /// Reads a device of the table, of whose buffers `buffersLeft` are left for this one and those behind it.
  init(
    parsing input: inout ByteInput, buffersLeft: Int, area: AreaHeader
  ) throws(FormatError) {
    let idstr = try input.readCountedName(in: .area(area.kind))
    let instanceID = try input.readBigEndian(UInt32.self, in: .device(DeviceIdentity(idstr)))
    identity = DeviceIdentity(idstr, instanceID: instanceID)
    buffers = []
    let context = FormatError.Context.device(identity)
    let countPlace = input.offset
    let count = try input.readBigEndian(UInt32.self, in: context)
    guard count > 0, Int(count) <= buffersLeft else {
      throw FormatError(
        .deviceArea(.bufferCount(found: count, most: UInt32(buffersLeft))), at: countPlace,
        in: context)
    }
    let totalPlace = input.offset
    let total = ByteCount(try input.readBigEndian(UInt64.self, in: context))
    try input.require(Int(count) * StoredBuffer.byteCount, in: context)
    buffers.reserveCapacity(Int(count))
    for number in 0..<count {
      buffers.append(
        try StoredBuffer(
          parsing: &input, number: number, isLast: number == count - 1, area: area, in: context))
    }
    // No overflow: each buffer has at most 16 MiB, and there are at most 2^20.
    guard byteCount == total else {
      throw FormatError(
        .deviceArea(.byteTotal(found: total, expected: byteCount)), at: totalPlace, in: context)
    }
  }
}

extension StoredBuffer {
  init(
    parsing input: inout ByteInput, number: UInt32, isLast: Bool, area: AreaHeader,
    in context: FormatError.Context
  ) throws(FormatError) {
    let place = input.offset
    func fail(_ problem: DeviceAreaProblem, _ offset: Int) -> FormatError {
      FormatError(.deviceArea(problem), at: place + ByteCount(offset), in: context)
    }
    let found = try input.readBigEndian(UInt32.self, in: context)
    let flags = StoredBufferFlags(rawValue: try input.readBigEndian(in: context))
    offset = FileOffset(try input.readBigEndian(UInt64.self, in: context))
    byteCount = ByteCount(try input.readBigEndian(UInt64.self, in: context))
    sum = try ContentSum(parsing: &input, in: context)
    isConfiguration = flags.contains(.configuration)
    guard found == number else {
      throw fail(.bufferNumber(found: found, expected: number), 0)
    }
    guard flags.isSubset(of: .known) else { throw fail(.bufferFlags(found: flags.rawValue), 4) }
    guard flags.contains(.last) == isLast else {
      throw fail(isLast ? .lastMissing : .lastTooEarly, 4)
    }
    guard byteCount.rawValue <= UInt64(ImageLimits.deviceBufferBytes) else {
      throw FormatError(
        .overLimit(
          .deviceBufferBytes, found: byteCount.rawValue,
          limit: UInt64(ImageLimits.deviceBufferBytes)), at: place + 16, in: context)
    }
    let first = area.end
    guard offset >= first, let end = offset.adding(byteCount), end <= area.table.lowerBound else {
      throw fail(.bufferPlace(offset, byteCount, area: first..<area.table.lowerBound), 8)
    }
  }
}

import LinuxIO
import MappedRAMFormat

extension SavePlan {
  /// The same plan with a description that states that the slots of absent pages hold zeros or are holes, for an image in which some
  /// are no holes: whoever maps it then need not look.
  ///
  /// - Returns: `nil` where the stream cannot grow or has nothing to say it in: there is no description, something follows it, or it is at
  ///   its limit. The image is as good without.
  /// - Throws: `ImageError.system`, where the tail cannot be read.
  func statingZeroSlots() throws(ImageError) -> SavePlan? {
    guard devices.allSatisfy(\.isSection) else { return nil }
    return try describing { (description) throws(FormatError) in
      try description.statingThatAbsentSlotsAreZero()
    }
  }

  /// The same plan without that statement, if the description that was handed in makes it; as long as before.
  ///
  /// - Throws: `ImageError.system`, where the tail cannot be read.
  func withdrawingZeroSlots() throws(ImageError) -> SavePlan {
    let plan = try describing { (description) throws(FormatError) in
      description.absentSlotsAreZero ? try description.withdrawingThatAbsentSlotsAreZero() : nil
    }
    return plan ?? self
  }

  /// The same plan with what `change` makes of the description that ends the tail; `nil` where none does, or it makes none.
  private func describing(
    _ change: (DeviceDescription) throws(FormatError) -> DeviceDescription?
  ) throws(ImageError) -> SavePlan? {
    guard let last = tail.last else { return nil }
    let bytes = try last.lastBytes(
      DeviceDescription.headByteCount + Int(ImageLimits.descriptionBytes.rawValue))
    let end = FileOffset(UInt64(bytes.count))
    guard let place = DeviceDescription.locate(inLast: bytes.span, endingAt: end) else {
      return nil
    }
    var output = ByteOutput()
    do throws(FormatError) {
      let text = bytes[(Int(place.rawValue) + DeviceDescription.headByteCount)...]
      guard let changed = try change(DeviceDescription(text: Array(text))) else { return nil }
      changed.encode(into: &output)
    } catch {
      // What is wrong with a description that somebody handed in is told when the image is read back.
      return nil
    }
    let before = last.byteCount.rawValue - UInt64(bytes.count) + place.rawValue
    var plan = self
    plan.tail[tail.count - 1...tail.count - 1] = [last.prefix(before), .bytes(output.bytes)]
    return plan
  }
}

extension StreamBytes {
  /// The last `count` of these bytes, or all if they are fewer; none of those that somebody else writes.
  fileprivate func lastBytes(_ count: Int) throws(ImageError) -> [UInt8] {
    switch self {
    case .bytes(let bytes): return Array(bytes.suffix(count))
    case .file(let file, let range):
      let start = max(range.lowerBound, range.upperBound - min(UInt64(count), range.upperBound))
      return try calling { () throws(SystemCallError) in
        try file.readBytes(at: start, count: Int(range.upperBound - start))
      }
    case .reserved: return []
    }
  }

  /// The first `count` of these bytes.
  fileprivate func prefix(_ count: UInt64) -> StreamBytes {
    switch self {
    case .bytes(let bytes): .bytes(Array(bytes.prefix(Int(count))))
    case .file(let file, let range): .file(file, range.lowerBound..<range.lowerBound + count)
    case .reserved: .reserved(ByteCount(count))
    }
  }
}

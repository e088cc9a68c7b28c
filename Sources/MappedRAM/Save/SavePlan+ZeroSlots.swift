import LinuxIO
import MappedRAMFormat

extension SavePlan {
  /// The same plan with a description that states that the slots of absent pages hold zeros or are holes, for an image in which some
  /// are no holes: whoever maps it then need not look.
  ///
  /// It is `nil` where the stream cannot grow or has nothing to say it in: there is no description, something follows it, or it is at
  /// its limit. The image is as good without.
  var statingZeroSlots: SavePlan? {
    guard devices.allSatisfy(\.isSection), let statingTail else { return nil }
    var plan = self
    plan.tail = statingTail
    return plan
  }

  /// The plan for a file of this kind. On a device slots hold what was there before, so what a description that was handed in says of
  /// zeros is withdrawn; the stream is as long as before.
  ///
  /// - Throws: `ImageError.system`, where the tail cannot be read.
  func fitting(_ kind: File.Kind) throws(ImageError) -> SavePlan {
    guard kind == .blockDevice else { return self }
    var plan = self
    plan.tail = try tail.withdrawingZeroSlots() ?? tail
    return plan
  }
}

extension [StreamBytes] {
  /// The same bytes with that statement in the description; `nil` where it cannot be made.
  func statingZeroSlots() throws(ImageError) -> [StreamBytes]? {
    try describing { (description) throws(FormatError) in
      try description.statingThatAbsentSlotsAreZero()
    }
  }

  /// The same without it; `nil` where it is not made.
  fileprivate func withdrawingZeroSlots() throws(ImageError) -> [StreamBytes]? {
    try describing { (description) throws(FormatError) in
      description.absentSlotsAreZero ? try description.withdrawingThatAbsentSlotsAreZero() : nil
    }
  }

  /// The same with what `change` makes of the description that ends them; `nil` where none does, or it makes none.
  private func describing(
    _ change: (DeviceDescription) throws(FormatError) -> DeviceDescription?
  ) throws(ImageError) -> [StreamBytes]? {
    guard let last else { return nil }
    let bytes = try last.lastBytes(
      DeviceDescription.headByteCount + Int(ImageLimits.descriptionBytes.rawValue))
    let end = FileOffset(UInt64(bytes.count))
    guard let place = DeviceDescription.locate(inLast: bytes.span, endingAt: end) else {
      return nil
    }
    var output = ByteOutput()
    do throws(FormatError) {
      let text = bytes[(Int(place.rawValue) + DeviceDescription.headByteCount)...]
      guard let changed = try change(DeviceDescription(text: [UInt8](text))) else { return nil }
      changed.encode(into: &output)
    } catch {
      // What is wrong with a description that somebody handed in is told when the image is read back.
      return nil
    }
    let before = last.byteCount - ByteCount(bytes.count) + (place - .zero)
    return dropLast() + [last.prefix(before), .bytes(output.bytes)]
  }
}

extension StreamBytes {
  /// The last `count` of these bytes, or all if they are fewer; none of those that somebody else writes.
  fileprivate func lastBytes(_ count: Int) throws(ImageError) -> [UInt8] {
    switch self {
    case .bytes(let bytes): return Array(bytes.suffix(count))
    case .file(let file, let range):
      let count = min(ByteCount(count), range.byteCount)
      return try ImageFile(file).readUp(
        to: Int(count.rawValue), at: FileOffset(range.upperBound.rawValue - count.rawValue))
    case .reserved: return []
    }
  }

  /// The first `count` of these bytes.
  fileprivate func prefix(_ count: ByteCount) -> StreamBytes {
    switch self {
    case .bytes(let bytes): .bytes(Array(bytes.prefix(Int(count.rawValue))))
    case .file(let file, let range): .file(file, range.lowerBound..<(range.lowerBound + count))
    case .reserved: .reserved(count)
    }
  }
}

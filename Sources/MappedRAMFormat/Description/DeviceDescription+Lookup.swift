extension DeviceDescription {
  /// Bytes of the body of the section of `device`, between its head and its footer.
  ///
  /// The sum over the fields of size and number of elements, and over the subsections of 1 + 1 + length of the name + 4 and
  /// their own sum. (Observed: right for every FULL section of some 50 files of 9 architectures.)
  ///
  /// - Parameter offset: the place of the body, for errors.
  /// - Throws: `numberOverflow`; `descriptionShape`, where a device of the old style has two sizes that differ.
  package static func bodyLength(
    of device: DescribedDevice, at offset: FileOffset = .zero
  ) throws(FormatError) -> ByteCount {
    guard let sum = device.state.byteCount else {
      throw FormatError(.numberOverflow, at: offset, in: .section(device.name))
    }
    if let size = device.opaqueSize, size != sum {
      throw FormatError(
        .descriptionShape(path: "size", expected: "the sum of the fields"), at: offset,
        in: .section(device.name))
    }
    return sum
  }

  /// Finds the description that ends a file, from the file's last bytes alone.
  ///
  /// The text has no zero byte, so the last zero of the file is in the four bytes of the length, or, where the length has
  /// none, is the EOF byte before the element. The element begins next to it, with 0x06 and a length that reaches the end
  /// of the file just so, and its text with a brace.
  ///
  /// - Parameters:
  ///   - bytes: the last bytes of the file, as many as the caller cares to read. Where the element begins before them,
  ///     nothing is found.
  ///   - end: the size of the file.
  /// - Returns: the place of the element's type byte, or `nil`: then there is no description, something follows it, or
  ///   `bytes` are too few.
  /// - Complexity: O(bytes).
  public static func locate(inLast bytes: RawSpan, endingAt end: FileOffset) -> FileOffset? {
    guard UInt64(bytes.byteCount) <= end.rawValue else { return nil }
    let base = FileOffset(end.rawValue - UInt64(bytes.byteCount))
    let lastZero = bytes.lastZero ?? -1
    // From the zero in the length's last byte to the zero before the element.
    for start in Swift.max(0, lastZero - 4)...(lastZero + 1) {
      guard start + headByteCount < bytes.byteCount else { return nil }
      var input = ByteInput(bytes.extracting(start..<bytes.byteCount))
      guard let type = try? input.readBigEndian(UInt8.self, in: .description),
        type == SectionType.description.rawValue,
        let length = try? input.readBigEndian(UInt32.self, in: .description),
        Int(length) == input.remaining, input.peek() == UInt8(ascii: "{")
      else { continue }
      return base + ByteCount(start)
    }
    return nil
  }

  /// Finds the description that ends a file, from the file's last bytes alone: as `locate` in raw bytes.
  public static func locate(inLast bytes: Span<UInt8>, endingAt end: FileOffset) -> FileOffset? {
    // SAFETY: a span of `UInt8` has no padding, so all of its bytes are initialized.
    unsafe locate(inLast: bytes.bytes, endingAt: end)
  }
}

extension RawSpan {
  /// The place of the last byte that is zero, or `nil`.
  fileprivate var lastZero: Int? {
    var index = byteCount
    // Eight bytes at a time as long as none of them is zero: 0 alone borrows into its high bit when 1 is taken off.
    while index >= 8 {
      // SAFETY: the eight bytes before the index are within the byte count; an integer has no invalid bit pattern.
      let word = unsafe unsafeLoadUnaligned(fromByteOffset: index - 8, as: UInt64.self)
      guard (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 == 0 else { break }
      index -= 8
    }
    while index > 0 {
      index -= 1
      // SAFETY: the index is from 0 to below the byte count.
      if unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self) == 0 { return index }
    }
    return nil
  }
}

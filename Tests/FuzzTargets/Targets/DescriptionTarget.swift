import MappedRAMFormat

/// The description of the device state up to the first zero byte, and behind it the bytes of a device.
enum DescriptionTarget {
  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    let end = bytes.firstIndex(of: 0) ?? bytes.count
    let text = Array(bytes[..<end])
    let state = Array(bytes[end...].dropFirst())
    try JSONText.check(text)
    let description: DeviceDescription
    do throws(FormatError) {
      description = try DeviceDescription(text: text)
    } catch {
      _ = error.description
      return false
    }
    try checkElement(description)
    try checkChanges(of: description)
    var budget = ImageLimits.descriptionValues
    var isWhole = true
    for device in description.devices {
      isWhole = try decode(device, state, &budget) && isWhole
    }
    return isWhole
  }

  /// The element is read as it was written, and found from the end of a file.
  private static func checkElement(_ description: DeviceDescription) throws(Finding) {
    var output = ByteOutput()
    StreamElement.endOfStream.encode(into: &output)
    let place = output.offset
    description.encode(into: &output)
    let read = try succeed("a description, written") { () throws(FormatError) in
      var input = ByteInput(output.bytes.span)
      try input.skip(1, in: .description)
      return try DeviceDescription(parsing: &input)
    }
    try require(read == description, "a description is read as another than it was written")
    guard description.text.first == UInt8(ascii: "{") else { return }
    let found = DeviceDescription.locate(inLast: output.bytes.span, endingAt: output.offset)
    try require(found == place, "a description at \(place) is found at \(found ?? .zero)")
  }

  /// What is made of a description still says the same of the devices.
  private static func checkChanges(of description: DeviceDescription) throws(Finding) {
    let configuration = Configuration.mappedRAM(machineType: "none", targetPageBits: 12)
    let (replaced, stating, withdrawing) = try succeed("a description, changed") {
      () throws(FormatError) in
      let stating = try description.statingThatAbsentSlotsAreZero()
      return (
        try description.replacing(configuration), stating,
        try stating.withdrawingThatAbsentSlotsAreZero()
      )
    }
    for changed in [replaced, stating, withdrawing] {
      try require(
        changed.devices == description.devices && changed.pageSize == description.pageSize,
        "a description that was changed has other devices")
    }
    try require(stating.absentSlotsAreZero, "a statement is not there")
    try require(!withdrawing.absentSlotsAreZero, "a statement is still there")
    try require(withdrawing.text.count == stating.text.count, "the length is another")
  }

  /// Whether all of the device was decoded, which then has as many bytes as the description says.
  private static func decode(
    _ device: DescribedDevice, _ state: [UInt8], _ budget: inout Int
  ) throws(Finding) -> Bool {
    var input = ByteInput(state.span)
    let decoded = DeviceStateDecoder.decode(device, from: &input, budget: &budget)
    if let problem = decoded.problem {
      _ = problem.description
      return false
    }
    let length: ByteCount
    do throws(FormatError) {
      length = try DeviceDescription.bodyLength(of: device)
    } catch {
      // Two sizes that contradict each other: the decoder does not look at that of the whole.
      return false
    }
    try require(
      input.offset - .zero == length,
      "a device of \(length) bytes was decoded out of \(input.offset.rawValue)")
    return true
  }
}

/// JSON text.
enum JSONText {
  /// A value is read as it was written.
  static func check(_ text: [UInt8]) throws(Finding) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: text)
    } catch {
      return
    }
    let read = try succeed("a JSON value, written") { () throws(JSONError) in
      try JSONValue(parsing: Array(value.text.utf8))
    }
    try require(read == value, "a JSON value is read as another than it was written")
  }
}

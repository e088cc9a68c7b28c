import LinuxIO
import MappedRAM
import MappedRAMFormat

/// A device's section and what is in it.
struct DeviceFacts: Equatable, Sendable {
  /// Whose it is.
  var identity: SectionIdentity
  /// The bytes of its state.
  var body: Range<FileOffset>
  /// What came of decoding it.
  var outcome: Outcome

  /// What came of decoding a device.
  enum Outcome: Equatable, Sendable {
    /// The state, field by field, perhaps up to a problem.
    case decoded(DecodedDevice)
    /// The bytes that the description does not speak of.
    case notDescribed
    /// The state has more than `DeviceFacts.byteLimit` bytes, or all of them too many values.
    case tooLong
  }

  /// The most bytes of one device that are read.
  static let byteLimit = ByteCount(UInt64(16) << 20)
  /// The most bytes of all devices that are read.
  static let totalLimit = ByteCount(UInt64(64) << 20)

  /// Decodes the devices of `image`: its sections of type FULL.
  ///
  /// - Complexity: O(bytes of the device state), within the limits.
  static func all(in image: Image, of file: File) throws(ImageError) -> [DeviceFacts] {
    var devices: [DeviceFacts] = []
    var total = ByteCount.zero
    var budget = ImageLimits.descriptionValues
    let all = image.description?.devices ?? []
    var described = DescribedSections(of: all)
    for section in image.sections where section.type == .full {
      guard let identity = section.identity else { continue }
      var facts = DeviceFacts(identity: identity, body: section.body, outcome: .notDescribed)
      if let index = described.next(identity) {
        let length = section.body.byteCount
        if length > byteLimit || total + length > totalLimit || budget == 0 {
          facts.outcome = .tooLong
        } else {
          total += length
          facts.outcome = .decoded(try decode(all[index], section.body, of: file, &budget))
        }
      }
      devices.append(facts)
    }
    return devices
  }

  private static func decode(
    _ device: DescribedDevice, _ body: Range<FileOffset>, of file: File, _ budget: inout Int
  ) throws(ImageError) -> DecodedDevice {
    let bytes = try ImageFile(file).read(Int(body.byteCount.rawValue), at: body.lowerBound)
    // SAFETY: a UInt8 has no padding, so each of the bytes has a value.
    var input = ByteInput(unsafe bytes.span.bytes, at: body.lowerBound)
    return DeviceStateDecoder.decode(device, from: &input, budget: &budget)
  }
}

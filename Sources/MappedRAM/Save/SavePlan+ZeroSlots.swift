import LinuxIO
import MappedRAMFormat

extension SavePlan {
  /// The same plan with a description that states that the slots of absent pages hold zeros or are holes, for an image in which some
  /// are no holes: whoever maps it then need not look.
  ///
  /// - Returns: `nil` where the stream cannot grow or has nothing to say it in: there is no description, something follows it, or it is at
  ///   its limit. The image is as good without.
  func statingZeroSlots() -> SavePlan? {
    guard devices.allSatisfy(\.isSection), case .bytes(let bytes)? = tail.last,
      let place = DeviceDescription.locate(
        inLast: bytes.span, endingAt: FileOffset(UInt64(bytes.count)))
    else { return nil }
    let start = Int(place.rawValue)
    let element = Array(bytes[start...])
    do throws(FormatError) {
      var input = ByteInput(element.span)
      let description = try DeviceDescription(parsing: &input).statingThatAbsentSlotsAreZero()
      var output = ByteOutput()
      output.write(Array(bytes[..<start]))
      description.encode(into: &output)
      var plan = self
      plan.tail[tail.count - 1] = .bytes(output.bytes)
      plan.end = plan.tail.reduce(layout.tail) { $0 + $1.byteCount }
      return plan
    } catch {
      // What is wrong with a description that somebody handed in is told when the image is read back.
      return nil
    }
  }
}

import MappedRAMFormat

/// Names of files for RAMBlocks.
enum FileName {
  /// The name for block number `index`, `idstr`: unreserved bytes as they are, all others percent-encoded, and `.ram`.
  ///
  /// A name that would be longer than file systems allow (255 bytes) is cut and gets the block's number, so that it is unique.
  static func ofBlock(_ idstr: String, index: Int) -> String {
    name(percentEncoded(idstr), ".ram", index)
  }

  /// The name for the state of device number `index`: `device-`, its name as that of a block, its instance unless that is 0, and `.bin`.
  static func ofDevice(_ device: DeviceIdentity, index: Int) -> String {
    let instance = device.instanceID == 0 ? "" : "-\(device.instanceID)"
    return name("device-" + percentEncoded(device.idstr) + instance, ".bin", index)
  }

  private static func name(_ encoded: String, _ suffix: String, _ index: Int) -> String {
    guard encoded.utf8.count > longest else { return encoded + suffix }
    return String(encoded.prefix(longest - 8)) + "~\(index)" + suffix
  }

  private static let longest = 255 - 4

  private static func percentEncoded(_ idstr: String) -> String {
    var name = ""
    for (position, byte) in idstr.utf8.enumerated() {
      if isSafe(byte), position > 0 || byte != UInt8(ascii: ".") {
        name.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        name += digits.count == 1 ? "%0" + digits : "%" + digits
      }
    }
    return name
  }

  /// Letters, digits, and what no shell and no file system treats in a special way.
  private static func isSafe(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: "+"),
      UInt8(ascii: ","), UInt8(ascii: "="):
      true
    default: false
    }
  }

  /// Whether `name` names a file in the directory itself.
  static func isPlain(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && !name.utf8.contains(UInt8(ascii: "/"))
      && !name.utf8.contains(0)
  }
}

import MappedRAMFormat

/// What `image.json` says: all that is needed, beside the files that it names, to build an image again.
///
/// ```json
/// {
///   "blocks" : [
///     { "file" : "pc.ram.ram", "idstr" : "pc.ram", "pageSize" : 4096, "usedLength" : 8388608 }
///   ],
///   "configuration" : [ { "capabilities" : [ "mapped-ram" ] } ],
///   "container" : "qemu",
///   "machineType" : "pc-q35-10.0",
///   "ramSectionID" : 1,
///   "schemaVersion" : 1,
///   "streamOffset" : 0,
///   "vmstateFile" : "vmstate.bin"
/// }
/// ```
package struct DirectoryManifest: Codable, Equatable, Sendable {
  /// The version of this form, 1.
  package var schemaVersion = Self.currentVersion
  /// `qemu` or `libvirt`; for people, `prefixFile` has the bytes.
  package var container: String
  /// Where the stream begins in the image.
  package var streamOffset: UInt64
  /// The image's layout by its name in `SlotLayout`; absent where that is QEMU's, and where it is none that is written here.
  package var layout: String?
  /// The bytes before the stream, if there are any.
  package var prefixFile: String?
  /// The machine type with its version.
  package var machineType: String
  /// The subsections of the configuration, in file order.
  package var configuration: [Subsection]
  /// The elements between the configuration and RAM, if there are any.
  package var preambleFile: String?
  /// The id of the RAM section.
  package var ramSectionID: UInt32
  /// False where sections end without a footer.
  package var hasFooters: Bool?
  /// The blocks, in the list's order.
  package var blocks: [Block]
  /// What follows RAM's START section.
  package var vmstateFile: String
  /// The devices whose states stand behind the stream, if there are some.
  package var devices: [Device]?
  /// The file with what the image says that it is of, if it does.
  package var factsFile: String?
  /// True where the image has checksums, and one that is built is to have them.
  package var hasChecksums: Bool?

  /// The only version there is.
  package static let currentVersion = 1
  /// The manifest's own name.
  package static let fileName = "image.json"
  /// The name of the file with the rest of the stream.
  package static let vmstateFileName = "vmstate.bin"
  /// The name of the file with what the image is of.
  package static let factsFileName = "facts.json"
  /// The name of the file with what stands before the stream.
  package static let prefixFileName = "prefix.bin"
  /// The name of the file with what stands between the configuration and RAM.
  package static let preambleFileName = "preamble.bin"

  /// A subsection: one of the keys is there.
  package struct Subsection: Codable, Equatable, Sendable {
    /// Names of capabilities.
    package var capabilities: [String]?
    /// Binary logarithm of the target's page size.
    package var targetPageBits: UInt32?
    /// The VM's UUID: 32 hexadecimal digits, with dashes.
    package var uuid: String?
  }

  /// The state of a device behind the stream.
  package struct Device: Codable, Equatable, Sendable {
    /// The device's name.
    package var idstr: String
    /// Its instance.
    package var instanceID: UInt32
    /// The file with all of its buffers, one behind the other.
    package var file: String
    /// The buffers: place in the image that is built, from the area's first aligned one, and bytes.
    package var buffers: [[UInt64]]
    /// Numbers of the buffers that are the device's configuration.
    package var configurationBuffers: [Int]?
  }

  /// A block.
  package struct Block: Codable, Equatable, Sendable {
    /// The block's name.
    package var idstr: String
    /// Bytes in use.
    package var usedLength: UInt64
    /// Bytes of a page.
    package var pageSize: UInt64
    /// The file with the block's contents; absent where the image has none (`x-ignore-shared`).
    package var file: String?
    /// The address of the block's memory region, with `x-ignore-shared`.
    package var address: UInt64?
    /// Pages that the image has though they are zero, as pairs of first page and count.
    package var presentZeroPages: [[Int]]?
  }
}

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

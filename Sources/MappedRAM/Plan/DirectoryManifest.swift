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
public struct DirectoryManifest: Codable, Equatable, Sendable {
  /// The version of this form, 1.
  public var schemaVersion = Self.currentVersion
  /// `qemu` or `libvirt`; for people, `prefixFile` has the bytes.
  public var container: String
  /// Where the stream begins in the image.
  public var streamOffset: UInt64
  /// The bytes before the stream, if there are any.
  public var prefixFile: String?
  /// The machine type with its version.
  public var machineType: String
  /// The subsections of the configuration, in file order.
  public var configuration: [Subsection]
  /// The elements between the configuration and RAM, if there are any.
  public var preambleFile: String?
  /// The id of the RAM section.
  public var ramSectionID: UInt32
  /// False where sections end without a footer.
  public var hasFooters: Bool?
  /// The blocks, in the list's order.
  public var blocks: [Block]
  /// What follows RAM's START section.
  public var vmstateFile: String
  /// The devices whose states stand behind the stream, if there are some.
  public var devices: [Device]?

  /// The only version there is.
  public static let currentVersion = 1
  /// The manifest's own name.
  public static let fileName = "image.json"
  /// The name of the file with the rest of the stream.
  public static let vmstateFileName = "vmstate.bin"
  /// The name of the file with what stands before the stream.
  public static let prefixFileName = "prefix.bin"
  /// The name of the file with what stands between the configuration and RAM.
  public static let preambleFileName = "preamble.bin"

  /// A subsection: one of the keys is there.
  public struct Subsection: Codable, Equatable, Sendable {
    /// Names of capabilities.
    public var capabilities: [String]?
    /// Binary logarithm of the target's page size.
    public var targetPageBits: UInt32?
    /// The VM's UUID: 32 hexadecimal digits, with dashes.
    public var uuid: String?
  }

  /// The state of a device behind the stream.
  public struct Device: Codable, Equatable, Sendable {
    /// The device's name.
    public var idstr: String
    /// Its instance.
    public var instanceID: UInt32
    /// The file with all of its buffers, one behind the other.
    public var file: String
    /// The buffers: place in the image that is built, from the area's first aligned one, and bytes.
    public var buffers: [[UInt64]]
    /// Numbers of the buffers that are the device's configuration.
    public var configurationBuffers: [Int]?
  }

  /// A block.
  public struct Block: Codable, Equatable, Sendable {
    /// The block's name.
    public var idstr: String
    /// Bytes in use.
    public var usedLength: UInt64
    /// Bytes of a page.
    public var pageSize: UInt64
    /// The file with the block's contents; absent where the image has none (`x-ignore-shared`).
    public var file: String?
    /// The address of the block's memory region, with `x-ignore-shared`.
    public var address: UInt64?
    /// Pages that the image has though they are zero, as pairs of first page and count.
    public var presentZeroPages: [[Int]]?
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

/// A kind of file that people hand to this tool by mistake, told by its first bytes.
public enum ForeignFormat: String, CaseIterable, Sendable {
  case gzip = "gzip data"
  case bzip2 = "bzip2 data"
  case xz = "xz data"
  case lzop = "lzop data"
  case zstd = "zstd data"
  case qcow2 = "a qcow2 disk image"
  case elf = "an ELF file"
  case tar = "a tar archive"
  case text = "a text file"
  case zeros = "empty where the stream should begin"

  /// The kind of file that begins with `head`, or `nil`. 512 bytes are enough for all.
  public init?(head: [UInt8]) {
    for (format, magic) in Self.magics where head.starts(with: magic) {
      self = format
      return
    }
    let ustar = Array("ustar".utf8)
    if head.count >= 262, head[257..<262].elementsEqual(ustar) {
      self = .tar
    } else if !head.isEmpty, head.allSatisfy({ $0 == 0 }) {
      self = .zeros
    } else if !head.isEmpty,
      head.allSatisfy({ (0x20...0x7e).contains($0) || (9...13).contains($0) })
    {
      self = .text
    } else {
      return nil
    }
  }

  private static let magics: [(ForeignFormat, [UInt8])] = [
    (.gzip, [0x1f, 0x8b]),
    (.bzip2, Array("BZh".utf8)),
    (.xz, [0xfd, 0x37, 0x7a, 0x58, 0x5a]),
    (.lzop, [0x89, 0x4c, 0x5a, 0x4f]),
    (.zstd, [0x28, 0xb5, 0x2f, 0xfd]),
    (.qcow2, Array("QFI".utf8) + [0xfb]),
    (.elf, [0x7f, 0x45, 0x4c, 0x46]),
  ]
}

/// What stands in an image, by the independent reader. Sizes in bytes, offsets in bytes from the
/// file's beginning.
public struct FixtureExpectation: Decodable, Sendable {
  /// Why a reader must refuse the image as incomplete; nil for a whole image. The text is the
  /// oracle's own.
  public var error: String?
  /// The file's logical size.
  public var fileSize: UInt64
  /// Bytes of the file that are not in holes, on the file system where it was made (4096-byte
  /// blocks).
  public var dataBytes: UInt64?
  /// SHA-256 of the whole file, holes as zeros; lower-case hex.
  public var sha256: String?
  /// libvirt's header, if there is one.
  public var libvirt: Libvirt?
  /// Where the stream begins.
  public var streamOffset: UInt64
  /// The machine type.
  public var machine: String
  /// The capabilities that the stream lists, in its order.
  public var capabilities: [String]
  /// The subsection `configuration/target-page-bits`.
  public var targetPageBits: UInt32?
  /// The subsection `configuration/uuid`, 32 hex digits.
  public var uuid: String?
  /// The sum of the blocks' used lengths, as the stream states it.
  public var total: UInt64?
  /// The RAMBlocks in the file's order.
  public var blocks: [Block]?
  /// The sections from START of RAM on, commands included.
  public var sections: [Section]
  /// Whether there is an END section of RAM.
  public var complete: Bool?
  /// Where the EOF byte stands.
  public var eofOffset: UInt64?
  /// Where the section with the JSON description begins (its type byte).
  public var descriptionOffset: UInt64?
  /// Bytes of the JSON text.
  public var descriptionLength: UInt64?
  /// The end of the stream.
  public var endOffset: UInt64?

  /// A RAMBlock.
  public struct Block: Decodable, Sendable {
    /// Its name.
    public var idstr: String
    /// Where its entry begins (the length byte of the name).
    public var offset: UInt64
    /// Its used length.
    public var usedLength: UInt64
    /// The address word of x-ignore-shared.
    public var address: UInt64?
    /// Whether its pages are not in the file (x-ignore-shared).
    public var ignored: Bool
    /// Where its mapped-ram header begins.
    public var headerOffset: UInt64
    /// The page size.
    public var pageSize: UInt64
    /// Where its bitmap begins.
    public var bitmapOffset: UInt64
    /// Where the slot of page 0 begins.
    public var pagesOffset: UInt64
    /// Its number of pages.
    public var pages: UInt64
    /// Set bits of the bitmap.
    public var present: UInt64?
    /// Slots of clear bits that hold something else than zeros.
    public var stale: UInt64?
    /// SHA-256 of the block's contents, absent pages as zeros; lower-case hex.
    public var sha256: String?
  }

  /// A section or a command of the stream.
  public struct Section: Decodable, Sendable {
    /// `start`, `part`, `end`, `full` or `command`.
    public var type: String
    /// Where its type byte stands.
    public var offset: UInt64
    /// The section id; nil for a command.
    public var id: UInt32?
    /// The device's name (START and FULL only).
    public var idstr: String?
    /// The instance (START and FULL only).
    public var instance: UInt32?
    /// The version (START and FULL only).
    public var version: UInt32?
    /// Bytes between the section's header and its footer; nil for RAM.
    public var bodyLength: UInt64?
    /// The command's number.
    public var command: UInt16?
  }

  /// libvirt's header and data area.
  public struct Libvirt: Decodable, Sendable {
    /// `little` or `big`.
    public var byteOrder: String
    /// The header's version.
    public var version: UInt32
    /// Bytes between the header and the stream.
    public var dataLength: UInt32
    /// 1 if the domain ran when it was saved.
    public var wasRunning: UInt32
    /// The format word; 6 is sparse.
    public var format: UInt32
    /// Where the cookie begins within the data area; 0 for none.
    public var cookieOffset: UInt32
    /// Bytes of the XML without its terminator.
    public var xmlLength: UInt64
    /// Bytes of the cookie without its terminator.
    public var cookieLength: UInt64
    /// SHA-256 of the XML; lower-case hex.
    public var xmlSHA256: String
  }
}

/// What stands in an image, by the independent reader. Sizes in bytes, offsets in bytes from the
/// file's beginning.
package struct FixtureExpectation: Decodable, Sendable {
  /// Why a reader must refuse the image as incomplete; nil for a whole image. The text is the
  /// oracle's own.
  package var error: String?
  /// The file's logical size.
  package var fileSize: UInt64
  /// Bytes of the file that are not in holes, on the file system where it was made (4096-byte
  /// blocks).
  package var dataBytes: UInt64?
  /// SHA-256 of the whole file, holes as zeros; lower-case hex.
  package var sha256: String?
  /// libvirt's header, if there is one.
  package var libvirt: Libvirt?
  /// Where the stream begins.
  package var streamOffset: UInt64
  /// The machine type.
  package var machine: String
  /// The capabilities that the stream lists, in its order.
  package var capabilities: [String]
  /// The subsection `configuration/target-page-bits`.
  package var targetPageBits: UInt32?
  /// The subsection `configuration/uuid`, 32 hex digits.
  package var uuid: String?
  /// The sum of the blocks' used lengths, as the stream states it.
  package var total: UInt64?
  /// The RAMBlocks in the file's order.
  package var blocks: [Block]?
  /// The sections from START of RAM on, commands included.
  package var sections: [Section]
  /// Whether there is an END section of RAM.
  package var complete: Bool?
  /// Where the EOF byte stands.
  package var eofOffset: UInt64?
  /// Where the section with the JSON description begins (its type byte).
  package var descriptionOffset: UInt64?
  /// Bytes of the JSON text.
  package var descriptionLength: UInt64?
  /// The end of the stream.
  package var endOffset: UInt64?

  /// What stands behind the stream.
  package var areas: Areas?

  /// Areas behind the stream.
  package struct Areas: Decodable, Sendable {
    /// Their headers.
    package var list: [Area]
    /// Where what closes them begins.
    package var closingOffset: UInt64
    /// The first byte behind all.
    package var endOffset: UInt64
    /// The devices of `DEVS`, whose buffers have the sums that it says.
    package var devices: [Device]?
    /// The root as `SUMS` has it, and as it follows from all that is in the image; nil where there are no sums.
    package var root: String?
  }

  /// An area.
  package struct Area: Decodable, Sendable {
    /// Four characters.
    package var kind: String
    package var version: UInt32
    package var needed: Bool
    package var offset: UInt64
    package var length: UInt64
    package var tableOffset: UInt64
    package var tableLength: UInt64
  }

  /// A device behind the stream.
  package struct Device: Decodable, Sendable {
    package var idstr: String
    package var instance: UInt32
    /// How many buffers it has.
    package var buffers: Int
  }

  /// A RAMBlock.
  package struct Block: Decodable, Sendable {
    /// Its name.
    package var idstr: String
    /// Where its entry begins (the length byte of the name).
    package var offset: UInt64
    /// Its used length.
    package var usedLength: UInt64
    /// The address word of x-ignore-shared.
    package var address: UInt64?
    /// Whether its pages are not in the file (x-ignore-shared).
    package var ignored: Bool
    /// Where its mapped-ram header begins.
    package var headerOffset: UInt64
    /// The page size.
    package var pageSize: UInt64
    /// Where its bitmap begins.
    package var bitmapOffset: UInt64
    /// Where the slot of page 0 begins.
    package var pagesOffset: UInt64
    /// Its number of pages.
    package var pages: UInt64
    /// Set bits of the bitmap.
    package var present: UInt64?
    /// Slots of clear bits that hold something else than zeros.
    package var stale: UInt64?
    /// SHA-256 of the block's contents, absent pages as zeros; lower-case hex.
    package var sha256: String?
  }

  /// A section or a command of the stream.
  package struct Section: Decodable, Sendable {
    /// `start`, `part`, `end`, `full` or `command`.
    package var type: String
    /// Where its type byte stands.
    package var offset: UInt64
    /// The section id; nil for a command.
    package var id: UInt32?
    /// The device's name (START and FULL only).
    package var idstr: String?
    /// The instance (START and FULL only).
    package var instance: UInt32?
    /// The version (START and FULL only).
    package var version: UInt32?
    /// Bytes between the section's header and its footer; nil for RAM.
    package var bodyLength: UInt64?
    /// The command's number.
    package var command: UInt16?
  }

  /// libvirt's header and data area.
  package struct Libvirt: Decodable, Sendable {
    /// `little` or `big`.
    package var byteOrder: String
    /// The header's version.
    package var version: UInt32
    /// Bytes between the header and the stream.
    package var dataLength: UInt32
    /// 1 if the domain ran when it was saved.
    package var wasRunning: UInt32
    /// The format word; 6 is sparse.
    package var format: UInt32
    /// Where the cookie begins within the data area; 0 for none.
    package var cookieOffset: UInt32
    /// Bytes of the XML without its terminator.
    package var xmlLength: UInt64
    /// Bytes of the cookie without its terminator.
    package var cookieLength: UInt64
    /// SHA-256 of the XML; lower-case hex.
    package var xmlSHA256: String
  }
}

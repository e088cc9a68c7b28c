import MappedRAM
import MappedRAMFormat

/// What `inspect --json` prints.
///
/// Every key is always there; a value that is not known, or does not apply, is `null`. The exceptions come with options:
/// `devices` with `--devices`; `presentRuns`, `presentRunsCut`, `staleRuns` and `staleRunsCut` of a block with `--pages`.
/// Sizes and lengths are in bytes, offsets count from the beginning of the file.
///
/// ```json
/// {
///   "allocatedBytes" : 6066176,
///   "blocks" : [
///     {
///       "address" : null, "allocatedBytes" : 5877760, "bitmapOffset" : 142, "idstr" : "pc.ram",
///       "isIgnored" : false, "pageCount" : 2048, "pageSize" : 4096, "pagesOffset" : 1048576,
///       "pagesPresent" : 1025, "pagesStale" : 410, "presentBytes" : 4198400, "usedLength" : 8388608
///     }
///   ],
///   "capabilities" : [ "mapped-ram" ],
///   "complete" : true,
///   "container" : "qemu",
///   "deviceArea" : null,
///   "fileSize" : 14797288,
///   "hasDescription" : true,
///   "libvirt" : null,
///   "machineType" : "pc-i440fx-10.0",
///   "pageSize" : 4096,
///   "path" : "live.img",
///   "problemDetails" : [],
///   "problems" : [],
///   "ramTotalBytes" : 8720384,
///   "remarks" : [],
///   "runState" : "running",
///   "schemaVersion" : 1,
///   "sections" : [
///     {
///       "command" : null, "id" : 1, "idstr" : "ram", "instanceID" : 0, "length" : 14684099,
///       "offset" : 74, "type" : "START", "version" : 4
///     }
///   ],
///   "streamOffset" : 0,
///   "uuid" : null
/// }
/// ```
struct InspectJSON: Encodable {
  /// The version of this form. It grows when a key changes or goes; keys may be added without that.
  var schemaVersion = 1
  var path: String
  /// `qemu` or `libvirt`; of a damaged file of libvirt's, `libvirt` is null.
  var container: String
  var libvirt: OrNull<Libvirt>
  var streamOffset: UInt64
  var machineType: OrNull<String>
  var capabilities: OrNull<[String]>
  var uuid: OrNull<String>
  var pageSize: OrNull<Int>
  var complete: Bool
  /// QEMU's name of the run state at the time of the save.
  var runState: OrNull<String>
  var hasDescription: Bool
  var ramTotalBytes: OrNull<UInt64>
  var blocks: [Block]
  var sections: [Section]
  var devices: [Device]?
  /// The states of devices behind the stream.
  var deviceArea: OrNull<Area>
  var fileSize: UInt64
  var allocatedBytes: UInt64
  /// Whole sentences, in the order in which things were met.
  var problems: [String]
  /// The same, with the place of each.
  var problemDetails: [Problem]
  var remarks: [String]

  struct Problem: Encodable {
    var offset: UInt64
    /// The structure that is wrong.
    var context: String
    /// What is wrong with it.
    var message: String
  }

  struct Block: Encodable {
    var idstr: String
    var usedLength: UInt64
    var pageSize: Int
    var bitmapOffset: OrNull<UInt64>
    var pagesOffset: OrNull<UInt64>
    var pageCount: Int
    var pagesPresent: OrNull<Int>
    var presentBytes: OrNull<UInt64>
    /// Absent pages whose slot is no hole.
    var pagesStale: OrNull<Int>
    /// Bytes of the page slots that are no hole.
    var allocatedBytes: OrNull<UInt64>
    /// Whether the block's contents are left out of the image (`x-ignore-shared`).
    var isIgnored: Bool
    var address: OrNull<UInt64>
    /// Pairs of first page and count.
    var presentRuns: [[Int]]?
    /// Whether there are more runs than are listed.
    var presentRunsCut: Bool?
    var staleRuns: [[Int]]?
    var staleRunsCut: Bool?
  }

  struct Section: Encodable {
    /// START, PART, END, FULL, COMMAND, CONFIGURATION, EOF or VMDESCRIPTION.
    var type: String
    var id: OrNull<UInt32>
    var idstr: OrNull<String>
    var instanceID: OrNull<UInt32>
    var version: OrNull<UInt32>
    /// The name of a command.
    var command: OrNull<String>
    var offset: UInt64
    /// All its bytes, type byte and footer included.
    var length: UInt64
  }

  struct Area: Encodable {
    /// Where its header begins: the end of the stream.
    var offset: UInt64
    /// All its bytes, from the header to the trailer.
    var length: UInt64
    var devices: [StoredDevice]
  }

  struct StoredDevice: Encodable {
    var idstr: String
    var instanceID: UInt32
    var byteCount: UInt64
    var bufferCount: Int
    var configurationBuffers: Int
  }

  struct Libvirt: Encodable {
    var headerVersion: UInt32
    /// `little` or `big`.
    var byteOrder: String
    var dataLength: UInt32
    /// libvirt's name for what the payload is.
    var format: String
    var isComplete: Bool
    var wasRunning: Bool
    var hasCookie: Bool
    var name: OrNull<String>
    var uuid: OrNull<String>
    var type: OrNull<String>
    var architecture: OrNull<String>
    var machine: OrNull<String>
    var memoryBytes: OrNull<UInt64>
    var vcpus: OrNull<Int>
  }
}

import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// What `inspect --json` prints.
///
/// Every key is always there; a value that is not known, or does not apply, is `null`. The exceptions come with options:
/// `devices` with `--devices`; `presentRuns`, `presentRunsCut`, `staleRuns` and `staleRunsCut` of a block with `--pages`.
/// Sizes and lengths are in bytes, offsets count from the beginning of the file.
///
/// ```json
/// {
///   "allocatedBytes" : 6066176,
///   "areas" : { "areas" : [], "problem" : null, "state" : "none" },
///   "blocks" : [
///     {
///       "address" : null, "allocatedBytes" : 5877760, "bitmapOffset" : 142, "fitsHugePages" : false,
///       "idstr" : "pc.ram", "isIgnored" : false, "pageCount" : 2048, "pageSize" : 4096, "pagesOffset" : 1048576,
///       "pagesPresent" : 1025, "pagesStale" : 410, "presentBytes" : 4198400, "usedLength" : 8388608
///     }
///   ],
///   "capabilities" : [ "mapped-ram" ],
///   "complete" : true,
///   "container" : "qemu",
///   "deviceArea" : null,
///   "fileSize" : 14797288,
///   "hasDescription" : true,
///   "hugePageObstacles" : [ { "kind" : "pagesOffset", "message" : "The pages of RAMBlock …" } ],
///   "layout" : "1M",
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
  var type = "report"
  var schemaVersion = JSONText.schemaVersion
  var command = "inspect"
  /// As opposed to `vm`.
  var subject = "image"
  var path: String
  /// `qemu` or `libvirt`; of a damaged file of libvirt's, `libvirt` is null.
  var container: String
  @OrNull var libvirt: Libvirt?
  var streamOffset: UInt64
  @OrNull var machineType: String?
  @OrNull var capabilities: [String]?
  @OrNull var uuid: String?
  @OrNull var pageSize: Int?
  var complete: Bool
  /// QEMU's name of the run state at the time of the save.
  @OrNull var runState: String?
  var hasDescription: Bool
  /// `1M` or `2M`; `null` where pages are at other places.
  @OrNull var layout: String?
  /// What keeps VMs that run on the image from mapping it by huge pages.
  var hugePageObstacles: [Finding]
  @OrNull var ramTotalBytes: UInt64?
  var blocks: [Block]
  var sections: [Section]
  var devices: [Device]?
  /// What stands behind the stream.
  var areas: Areas
  /// What the image says that it is of.
  @OrNull var facts: Facts?
  /// The states of devices behind the stream.
  @OrNull var deviceArea: DeviceStates?
  var fileSize: UInt64
  var allocatedBytes: UInt64
  /// What is wrong, in the order in which it was met.
  var problems: [Problem]
  /// What is odd.
  var remarks: [Finding]

  struct Facts: Encodable {
    /// Seconds since the begin of 1970 (UTC).
    @OrNull var time: Int64?
    @OrNull var host: String?
    @OrNull var tool: String?
    @OrNull var name: String?
    @OrNull var uuid: String?
    @OrNull var qemu: String?
    var commandLine: [String]
    var memoryDevices: [Memory]
    var disks: [Disk]

    struct Memory: Encodable {
      var kind: String
      var backend: String
      var address: UInt64
      @OrNull var node: UInt64?
    }

    struct Disk: Encodable {
      var name: String
      var file: String
      var format: String
      @OrNull var size: UInt64?
      /// What the file was; `null` where that says nothing of its contents.
      @OrNull var state: State?
    }

    struct State: Encodable {
      var size: UInt64
      var modified: Int64
      var modifiedNanoseconds: Int64
      @OrNull var device: UInt64?
      @OrNull var inode: UInt64?
    }

    init(_ facts: ImageFacts) {
      (time, host, tool) = (facts.time, facts.host, facts.tool)
      (name, uuid, qemu) = (facts.name, facts.uuid, facts.qemuVersion)
      commandLine = facts.commandLine
      memoryDevices = facts.memoryDevices.map {
        Memory(kind: $0.kind, backend: $0.backend, address: $0.address, node: $0.node)
      }
      disks = facts.disks.map { disk in
        Disk(
          name: disk.name, file: disk.file, format: disk.format, size: disk.guestByteCount,
          state: disk.state.map {
            State(
              size: $0.byteCount, modified: $0.modifiedSeconds,
              modifiedNanoseconds: $0.modifiedNanoseconds, device: $0.device, inode: $0.inode)
          })
      }
    }
  }

  struct Problem: Encodable {
    var kind: String
    var path: String
    var offset: UInt64
    /// The structure that is wrong.
    var context: String
    /// The whole sentence.
    var message: String
  }

  struct Block: Encodable {
    var idstr: String
    var usedLength: UInt64
    var pageSize: Int
    @OrNull var bitmapOffset: UInt64?
    @OrNull var pagesOffset: UInt64?
    /// Whether its slots are at places that huge pages can map.
    var fitsHugePages: Bool
    var pageCount: Int
    @OrNull var pagesPresent: Int?
    @OrNull var presentBytes: UInt64?
    /// Absent pages whose slot is no hole.
    @OrNull var pagesStale: Int?
    /// Bytes of the page slots that are no hole.
    @OrNull var allocatedBytes: UInt64?
    /// Whether the block's contents are left out of the image (`x-ignore-shared`).
    var isIgnored: Bool
    @OrNull var address: UInt64?
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
    @OrNull var id: UInt32?
    @OrNull var idstr: String?
    @OrNull var instanceID: UInt32?
    @OrNull var version: UInt32?
    /// The name of a command.
    @OrNull var command: String?
    var offset: UInt64
    /// All its bytes, type byte and footer included.
    var length: UInt64
  }

  struct Areas: Encodable {
    /// `none`, `whole` (headers and what closes them) or `damaged`.
    var state: String
    /// Those that could be read, in file order.
    var areas: [Area]
    /// What is wrong with them.
    @OrNull var problem: Problem?
  }

  struct Area: Encodable {
    /// What it holds, in four characters.
    var kind: String
    var version: UInt32
    /// Whether a program that does not know it must not restore the image.
    var isNeeded: Bool
    var offset: UInt64
    /// All its bytes, from the header on.
    var length: UInt64
  }

  struct DeviceStates: Encodable {
    /// Where its header begins.
    var offset: UInt64
    /// All its bytes, from the header on.
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
    @OrNull var name: String?
    @OrNull var uuid: String?
    @OrNull var type: String?
    @OrNull var architecture: String?
    @OrNull var machine: String?
    @OrNull var memoryBytes: UInt64?
    @OrNull var vcpus: Int?
  }
}

extension InspectJSON {
  /// The form of `inspection` for programs.
  init(_ inspection: Inspection) {
    let image = inspection.image
    let configuration = image.prologue?.configuration
    path = image.path.string
    container = image.container.name
    libvirt =
      if case .libvirt(let found) = image.container {
        Libvirt(found, inspection.domain)
      } else {
        nil
      }
    streamOffset = image.streamOffset.rawValue
    machineType = configuration?.machineType
    capabilities = configuration?.capabilities
    uuid = configuration?.uuid.map { UUIDText.format($0) }
    pageSize = inspection.pageSize?.byteCount
    complete = image.isComplete
    runState = inspection.runState
    hasDescription = image.description != nil
    layout = image.slots?.rawValue
    hugePageObstacles = inspection.hugePageObstacles.map(\.finding)
    ramTotalBytes = image.ramTotal?.rawValue
    blocks = zip(image.blocks, inspection.slots).map { Block($0, $1) }
    sections = image.sections.map { Section($0) }
    devices = inspection.devices.map { $0.map { Device($0) } }
    areas = Areas(image.areas, in: image.path)
    facts = image.facts.map { Facts($0) }
    deviceArea = image.deviceArea.map { DeviceStates($0) }
    fileSize = image.fileSize.rawValue
    allocatedBytes = inspection.allocatedBytes
    problems = image.problems.map { Problem($0, in: image.path) }
    remarks = image.remarks.map(\.finding)
  }
}

extension InspectJSON.Block {
  init(_ block: ImageBlock, _ slots: SlotFacts) {
    idstr = block.idstr
    usedLength = block.usedLength.rawValue
    pageSize = block.pageSize.byteCount
    bitmapOffset = block.layout.bitmap?.lowerBound.rawValue
    pagesOffset = block.layout.pages?.lowerBound.rawValue
    fitsHugePages = block.layout.fitsHugePages
    pageCount = block.pageCount
    pagesPresent = block.pagesPresent
    presentBytes = block.presentBytes
    pagesStale = slots.pagesStale
    allocatedBytes = slots.allocatedBytes
    isIgnored = block.block.isIgnored
    address = block.block.address
    presentRuns = slots.presentRuns?.runs
    presentRunsCut = slots.presentRuns?.isCut
    staleRuns = slots.staleRuns?.runs
    staleRunsCut = slots.staleRuns?.isCut
  }
}

extension InspectJSON.Section {
  init(_ section: ImageSection) {
    type = section.type.name
    id = section.id
    idstr = section.identity?.idstr
    instanceID = section.identity?.instanceID
    version = section.identity?.version
    command = section.command?.code.name
    offset = section.offset.rawValue
    length = section.byteCount.rawValue
  }
}

extension InspectJSON.Problem {
  init(_ problem: FormatError, in path: FilePath) {
    kind = ErrorKind.badData.rawValue
    self.path = path.string
    offset = problem.offset.rawValue
    context = problem.context.description
    message = problem.description
  }
}

extension InspectJSON.Areas {
  init(_ found: ImageAreas, in path: FilePath) {
    switch found {
    case .none: state = "none"
    case .whole: state = "whole"
    case .damaged(_, let found):
      state = "damaged"
      problem = InspectJSON.Problem(found, in: path)
    }
    areas = found.headers.map { header in
      InspectJSON.Area(
        kind: header.kind.name, version: header.version, isNeeded: header.isNeeded,
        offset: header.range.lowerBound.rawValue, length: header.range.byteCount.rawValue)
    }
  }
}

extension InspectJSON.DeviceStates {
  init(_ area: DeviceArea) {
    offset = area.start.rawValue
    length = (area.end - area.start).rawValue
    devices = area.devices.map { device in
      InspectJSON.StoredDevice(
        idstr: device.identity.idstr, instanceID: device.identity.instanceID,
        byteCount: device.byteCount.rawValue, bufferCount: device.buffers.count,
        configurationBuffers: device.buffers.count(where: \.isConfiguration))
    }
  }
}

extension InspectJSON.Libvirt {
  init(_ libvirt: LibvirtContainer, _ domain: LibvirtDomain?) {
    headerVersion = libvirt.header.version
    byteOrder = libvirt.header.byteOrder.rawValue
    dataLength = libvirt.header.dataLength
    format = "\(libvirt.header.format)"
    isComplete = libvirt.header.isComplete
    wasRunning = libvirt.header.wasRunning
    hasCookie = libvirt.cookie != nil
    name = domain?.name
    uuid = domain?.uuid
    type = domain?.type
    architecture = domain?.architecture
    machine = domain?.machine
    memoryBytes = domain?.memoryBytes
    vcpus = domain?.vcpus
  }
}

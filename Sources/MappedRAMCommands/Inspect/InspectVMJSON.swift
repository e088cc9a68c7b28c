import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage

/// What `inspect SOCKET --json` prints.
///
/// Every key is always there; a value that is not known, or does not apply, is `null`. Sizes are in bytes.
///
/// ```json
/// {
///   "blocks" : [
///     {
///       "backing" : "anonymous", "backingFile" : null, "hostAddress" : 140177538514944, "idstr" : "pc.ram",
///       "maxLength" : 134217728, "pageBytes" : 4096, "presentBytes" : 10887168, "route" : "process",
///       "usedLength" : 134217728
///     }
///   ],
///   "capabilities" : [],
///   "disks" : [
///     {
///       "driver" : "qcow2", "file" : "disk.qcow2", "isUnlinked" : false, "isWritable" : true, "name" : "virtio0", "virtualSize" : 1073741824
///     }
///   ],
///   "machineType" : "pc-q35-10.0",
///   "managedByLibvirt" : false,
///   "migrationStatus" : null,
///   "name" : null,
///   "processID" : 4711,
///   "qemuVersion" : "10.0.2",
///   "ramTotalBytes" : 134217728,
///   "runState" : "running",
///   "save" : {
///     "byteCountBeforeDevices" : 135266367, "captureObstacles" : [],
///     "diskBytesAtMost" : 10891264, "disksDiverge" : true, "engine" : "capture", "engineObstacles" : []
///   },
///   "schemaVersion" : 2,
///   "target" : "x86_64",
///   "uuid" : null,
///   "vcpus" : 1
/// }
/// ```
struct VMInspectJSON: Encodable {
  var type = "report"
  var schemaVersion = JSONText.schemaVersion
  var command = "inspect"
  /// As opposed to `image`.
  var subject = "vm"
  /// The QMP socket.
  var socket: String
  @OrNull var name: String?
  @OrNull var uuid: String?
  var managedByLibvirt: Bool
  var qemuVersion: String
  @OrNull var processID: Int32?
  var machineType: String
  /// The architecture.
  var target: String
  /// QEMU's name of the run state.
  var runState: String
  var vcpus: Int
  var ramTotalBytes: UInt64
  /// QEMU's name of the state of the last or present migration.
  @OrNull var migrationStatus: String?
  /// Those that are on.
  var capabilities: [String]
  var blocks: [Block]
  var disks: [Disk]
  var save: Save

  struct Block: Encodable {
    var idstr: String
    var usedLength: UInt64
    var maxLength: UInt64
    /// Bytes of the pages that the memory is made of.
    var pageBytes: UInt64
    /// `null` where QEMU does not say.
    @OrNull var hostAddress: UInt64?
    /// `anonymous`, `sharedFile`, `privateFile` or `mixed`.
    @OrNull var backing: String?
    /// The file's path in /proc/PID/maps.
    @OrNull var backingFile: String?
    /// How a capture would read it: `process` or `sharedFile`.
    @OrNull var route: String?
    /// Bytes in memory, in swap or in the shared file.
    @OrNull var presentBytes: UInt64?
  }

  struct Disk: Encodable {
    var name: String
    /// `null`, as `driver` and `virtualSize`, for an empty drive.
    @OrNull var file: String?
    @OrNull var driver: String?
    @OrNull var virtualSize: UInt64?
    var isWritable: Bool
    /// Whether the file has no name any more, and is lost when QEMU ends.
    var isUnlinked: Bool
  }

  struct Save: Encodable {
    /// The engine that `auto` would take: `capture` or `qemu`; `null` where the VM cannot be saved now.
    @OrNull var engine: String?
    /// Why the VM cannot be captured.
    var captureObstacles: [Finding]
    /// Why QEMU cannot save it by itself.
    var engineObstacles: [Finding]
    /// The length of the image, holes included, up to the device state.
    @OrNull var byteCountBeforeDevices: UInt64?
    /// The most that the image can take of the disk, without the device state.
    @OrNull var diskBytesAtMost: UInt64?
    var disksDiverge: Bool
  }
}

extension VMInspectJSON {
  /// The form of `inspection` for programs.
  init(_ inspection: VMInspection, at socket: FilePath) {
    let vm = inspection.vm
    self.socket = socket.string
    name = vm.name
    uuid = vm.uuid
    managedByLibvirt = vm.isManagedByLibvirt
    qemuVersion = vm.version.description
    processID = inspection.processID
    machineType = vm.machineType
    target = vm.target
    runState = vm.runState.rawValue
    vcpus = vm.processorThreads.count
    ramTotalBytes = vm.ramByteCount.rawValue
    migrationStatus = vm.migration.status?.rawValue
    capabilities = vm.capabilities.filter(\.value).map(\.key).sorted()
    blocks = inspection.memory.map { Block($0) }
    disks = vm.disks.map { disk in
      Disk(
        name: disk.label, file: disk.medium?.file, driver: disk.medium?.driver,
        virtualSize: disk.medium?.virtualByteCount, isWritable: disk.isWritable,
        isUnlinked: inspection.unlinkedDisks.contains(disk))
    }
    save = Save(inspection.save)
  }
}

extension VMInspectJSON.Block {
  init(_ memory: VMInspection.Block) {
    let block = memory.block
    idstr = block.idstr
    usedLength = block.usedLength.rawValue
    maxLength = block.maxLength.rawValue
    pageBytes = block.pageBytes
    hostAddress = block.hostAddress
    let (kind, file): (String?, String?) =
      switch memory.backing {
      case .anonymous: ("anonymous", nil)
      case .sharedFile(_, _, let path): ("sharedFile", path)
      case .privateFile(_, _, let path): ("privateFile", path)
      case .mixed: ("mixed", nil)
      case nil: (nil, nil)
      }
    backing = kind
    backingFile = file
    route = memory.route?.name
    presentBytes = memory.presentBytes
  }
}

extension VMInspectJSON.Save {
  init(_ save: SaveForecast) {
    engine = save.engine?.rawValue
    captureObstacles = save.captureObstacles.map(\.finding)
    engineObstacles = save.engineObstacles.map(\.finding)
    byteCountBeforeDevices = save.byteCountBeforeDevices
    diskBytesAtMost = save.diskBytesAtMost
    disksDiverge = save.disksDiverge
  }
}

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
///   "qmp" : "/run/vm.qmp",
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
  /// The version of this form. It grows when a key changes or goes; keys may be added without that.
  var schemaVersion = 2
  /// The socket.
  var qmp: String
  var name: OrNull<String>
  var uuid: OrNull<String>
  var managedByLibvirt: Bool
  var qemuVersion: String
  var processID: OrNull<Int32>
  var machineType: String
  /// The architecture.
  var target: String
  /// QEMU's name of the run state.
  var runState: String
  var vcpus: Int
  var ramTotalBytes: UInt64
  /// QEMU's name of the state of the last or present migration.
  var migrationStatus: OrNull<String>
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
    var hostAddress: OrNull<UInt64>
    /// `anonymous`, `sharedFile`, `privateFile` or `mixed`.
    var backing: OrNull<String>
    /// The file's path in /proc/PID/maps.
    var backingFile: OrNull<String>
    /// How a capture would read it: `process` or `sharedFile`.
    var route: OrNull<String>
    /// Bytes in memory, in swap or in the shared file.
    var presentBytes: OrNull<UInt64>
  }

  struct Disk: Encodable {
    var name: String
    /// `null`, as `driver` and `virtualSize`, for an empty drive.
    var file: OrNull<String>
    var driver: OrNull<String>
    var virtualSize: OrNull<UInt64>
    var isWritable: Bool
    /// Whether the file has no name any more, and is lost when QEMU ends.
    var isUnlinked: Bool
  }

  struct Save: Encodable {
    /// The engine that `auto` would take: `capture` or `qemu`; `null` where the VM cannot be saved now.
    var engine: OrNull<String>
    /// Why the VM cannot be captured: whole sentences.
    var captureObstacles: [String]
    /// Why QEMU cannot save it by itself: whole sentences.
    var engineObstacles: [String]
    /// The length of the image, holes included, up to the device state.
    var byteCountBeforeDevices: OrNull<UInt64>
    /// The most that the image can take of the disk, without the device state.
    var diskBytesAtMost: OrNull<UInt64>
    var disksDiverge: Bool
  }
}

extension VMInspectJSON {
  /// The form of `inspection` for programs.
  init(_ inspection: VMInspection, at socket: FilePath) {
    let vm = inspection.vm
    qmp = socket.string
    name = OrNull(vm.name)
    uuid = OrNull(vm.uuid)
    managedByLibvirt = vm.isManagedByLibvirt
    qemuVersion = vm.version.description
    processID = OrNull(inspection.processID)
    machineType = vm.machineType
    target = vm.target
    runState = vm.runState.rawValue
    vcpus = vm.processorThreads.count
    ramTotalBytes = vm.ramByteCount.rawValue
    migrationStatus = OrNull(vm.migration.status?.rawValue)
    capabilities = vm.capabilities.filter(\.value).map(\.key).sorted()
    blocks = inspection.memory.map { Block($0) }
    disks = vm.disks.map { disk in
      Disk(
        name: disk.label, file: OrNull(disk.medium?.file), driver: OrNull(disk.medium?.driver),
        virtualSize: OrNull(disk.medium?.virtualByteCount), isWritable: disk.isWritable,
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
    hostAddress = OrNull(block.hostAddress)
    let (kind, file): (String?, String?) =
      switch memory.backing {
      case .anonymous: ("anonymous", nil)
      case .sharedFile(_, _, let path): ("sharedFile", path)
      case .privateFile(_, _, let path): ("privateFile", path)
      case .mixed: ("mixed", nil)
      case nil: (nil, nil)
      }
    backing = OrNull(kind)
    backingFile = OrNull(file)
    route = OrNull(memory.route?.name)
    presentBytes = OrNull(memory.presentBytes)
  }
}

extension VMInspectJSON.Save {
  init(_ save: SaveForecast) {
    engine = OrNull(save.engine?.rawValue)
    captureObstacles = save.captureObstacles.map(\.description)
    engineObstacles = save.engineObstacles.map(\.description)
    byteCountBeforeDevices = OrNull(save.byteCountBeforeDevices)
    diskBytesAtMost = OrNull(save.diskBytesAtMost)
    disksDiverge = save.disksDiverge
  }
}

import MappedRAM
import MappedRAMFormat

extension DiffReport {
  var json: JSON {
    JSON(
      first: first.string, second: second.string, isEqual: outcome.isEqual,
      machineTypes: outcome.hasOtherMachineType
        ? JSON.Pair(first: outcome.machineTypes.first, second: outcome.machineTypes.second) : nil,
      subject: isVM ? "vm" : "image", downtimeSeconds: pause?.inSeconds,
      blocks: outcome.blocks.map { JSON.Block($0) },
      devices: outcome.devices.map { JSON.Device($0) },
      deviceBuffers: outcome.buffers.map { JSON.Buffers($0) },
      remarks: outcome.remarks.map(\.finding), transfer: TransferJSON(outcome.report))
  }

  /// ```json
  /// {
  ///   "blocks" : [
  ///     {
  ///       "areRangesCut" : false, "differingPages" : 1, "idstr" : "pc.ram", "isByChunks" : false, "kind" : "pages",
  ///       "pageCount" : 32768, "pageSize" : 4096, "rangeCount" : 1, "ranges" : [ [ 4711, 1 ] ]
  ///     }
  ///   ],
  ///   "command" : "diff",
  ///   "deviceBuffers" : [],
  ///   "devices" : [
  ///     {
  ///       "fields" : [ { "first" : 7, "path" : "cpu_ticks_offset", "second" : 8 } ], "fieldsOmitted" : 0,
  ///       "firstDifference" : 7, "firstLength" : 24, "idstr" : "timer", "instanceID" : 0, "kind" : "state",
  ///       "secondLength" : 24, "versions" : null
  ///     }
  ///   ],
  ///   "downtimeSeconds" : null,
  ///   "first" : "a.img",
  ///   "isEqual" : false,
  ///   "machineTypes" : null,
  ///   "remarks" : [],
  ///   "schemaVersion" : 1,
  ///   "second" : "b.img",
  ///   "subject" : "image",
  ///   "transfer" : { … },
  ///   "type" : "report"
  /// }
  /// ```
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = JSONText.schemaVersion
    var command = "diff"
    var first: String
    var second: String
    var isEqual: Bool
    /// The machine types, if they differ.
    @OrNull var machineTypes: Pair?
    /// What the second is: `image` or `vm`.
    var subject: String
    /// How long a VM was paused.
    @OrNull var downtimeSeconds: Double?
    /// All blocks, also those that are equal.
    var blocks: [Block]
    /// The devices that differ.
    var devices: [Device]
    /// The devices with states behind the stream that differ.
    var deviceBuffers: [Buffers]
    var remarks: [Finding]
    var transfer: TransferJSON

    struct Pair: Encodable {
      var first: String
      var second: String
    }

    struct Versions: Encodable {
      var first: UInt32
      var second: UInt32
    }

    struct Block: Encodable {
      var idstr: String
      /// `equal`, `pages`, `onlyInFirst`, `onlyInSecond`, `shape`, `ignoredInFirst`, `ignoredInSecond` or `notThere`.
      var kind: String
      /// Pages that differ, or whose chunk does; `null` where pages were not compared.
      @OrNull var differingPages: Int?
      @OrNull var pageCount: Int?
      @OrNull var pageSize: Int?
      /// Whether only checksums of 64 KiB were compared.
      @OrNull var isByChunks: Bool?
      @OrNull var rangeCount: Int?
      /// First page and count of each.
      @OrNull var ranges: [[Int]]?
      /// Whether there are more than are listed.
      @OrNull var areRangesCut: Bool?
    }

    struct Device: Encodable {
      var idstr: String
      var instanceID: UInt32
      /// `onlyInFirst`, `onlyInSecond`, `version` or `state`.
      var kind: String
      @OrNull var versions: Versions?
      /// Bytes of the state.
      @OrNull var firstLength: UInt64?
      @OrNull var secondLength: UInt64?
      /// The first byte that differs, counted from the state's first.
      @OrNull var firstDifference: UInt64?
      /// The fields that differ; `null` where they cannot be told.
      @OrNull var fields: [Field]?
      @OrNull var fieldsOmitted: Int?
    }

    struct Field: Encodable {
      var path: String
      /// What it holds; `null` where that image does not have it.
      @OrNull var first: InspectJSON.Value?
      @OrNull var second: InspectJSON.Value?
    }

    struct Buffers: Encodable {
      var idstr: String
      var instanceID: UInt32
      /// `onlyInFirst`, `onlyInSecond` or `buffers`.
      var kind: String
      /// The numbers of those that differ.
      @OrNull var buffers: [Int]?
    }
  }
}

extension DiffReport.JSON.Block {
  /// The most ranges that are listed, so that a fragmented block does not swamp the reader.
  private static let rangeLimit = 65536

  init(_ block: BlockComparison) {
    idstr = block.idstr
    switch block.outcome {
    case .onlyInFirst: kind = "onlyInFirst"
    case .onlyInSecond: kind = "onlyInSecond"
    case .shape: kind = "shape"
    case .ignored(let inFirst): kind = inFirst ? "ignoredInFirst" : "ignoredInSecond"
    case .notThere: kind = "notThere"
    case .compared(let pages):
      kind = pages.count > 0 ? "pages" : "equal"
      let (found, count) = pages.ranges(limit: Self.rangeLimit)
      differingPages = pages.count
      pageCount = pages.pageCount
      pageSize = pages.pageSize.byteCount
      isByChunks = pages.isByChunks
      rangeCount = count
      ranges = found.map { [$0.lowerBound, $0.count] }
      areRangesCut = count > found.count
    }
  }
}

extension DiffReport.JSON.Device {
  init(_ device: DeviceComparison) {
    idstr = device.identity.idstr
    instanceID = device.identity.instanceID
    switch device.difference {
    case .onlyInFirst: kind = "onlyInFirst"
    case .onlyInSecond: kind = "onlyInSecond"
    case .version(let first, let second):
      kind = "version"
      versions = DiffReport.JSON.Versions(first: first, second: second)
    case .state(let state):
      kind = "state"
      firstLength = state.firstByteCount.rawValue
      secondLength = state.secondByteCount.rawValue
      firstDifference = state.firstDifference
      fields = state.fields.map { fields in
        fields.map { field in
          DiffReport.JSON.Field(
            path: field.path, first: field.first.map { InspectJSON.Value(value: $0) },
            second: field.second.map { InspectJSON.Value(value: $0) })
        }
      }
      fieldsOmitted = state.fieldsOmitted
    }
  }
}

extension DiffReport.JSON.Buffers {
  init(_ device: BufferComparison) {
    idstr = device.identity.idstr
    instanceID = device.identity.instanceID
    switch device.difference {
    case .onlyInFirst: kind = "onlyInFirst"
    case .onlyInSecond: kind = "onlyInSecond"
    case .buffers(let numbers):
      kind = "buffers"
      buffers = numbers
    }
  }
}

extension ComparisonRemark {
  fileprivate var finding: Finding {
    let kind =
      switch self {
      case .unusableSums: "unusableChecksums"
      case .unusableBlockSums: "unusableBlockChecksums"
      case .sumsDoNotFit: "checksumsDoNotFit"
      case .statesNotCompared: "statesNotCompared"
      }
    return Finding(kind: kind, message: description)
  }
}

/// What an image is of: facts that neither QEMU's stream nor its description have. They stand in an area of the kind `FACT`, whose table is one JSON object
/// (RFC 8259) of the members below.
///
/// Each may be missing, and others may be there that are not known here.
public struct ImageFacts: Equatable, Sendable {
  /// The moment of which the image is, in whole seconds since the begin of 1970 (UTC); member `time`.
  public var time: Int64?
  /// The name of the host that the VM ran on; `host`.
  public var host: String?
  /// What wrote the image; `tool`.
  public var tool: String?
  /// What `-name` gave; `name`.
  public var name: String?
  /// The VM's UUID; `uuid`.
  public var uuid: String?
  /// QEMU's version; `qemu`.
  public var qemuVersion: String?
  /// The words of QEMU's command line, its own path first; `commandLine`.
  public var commandLine: [String]
  /// Memory in slots and on buses, and where the guest has it; `memoryDevices`.
  public var memoryDevices: [MemoryFacts]
  /// The disks that the guest could write to; `disks`.
  public var disks: [DiskFacts]

  /// Facts of their parts.
  public init(
    time: Int64? = nil, host: String? = nil, tool: String? = nil, name: String? = nil,
    uuid: String? = nil, qemuVersion: String? = nil, commandLine: [String] = [],
    memoryDevices: [MemoryFacts] = [], disks: [DiskFacts] = []
  ) {
    self.time = time
    self.host = host
    self.tool = tool
    self.name = name
    self.uuid = uuid
    self.qemuVersion = qemuVersion
    self.commandLine = commandLine
    self.memoryDevices = memoryDevices
    self.disks = disks
  }

  /// A device that shows memory to the guest: a DIMM, an NVDIMM, a virtio-mem, …
  public struct MemoryFacts: Equatable, Sendable {
    /// QEMU's word for what it is: `dimm`, `nvdimm`, `virtio-mem`, …; `kind`.
    public var kind: String
    /// The backend whose memory it shows; `backend`.
    public var backend: String
    /// The guest-physical address at which it begins; `address`.
    public var address: UInt64
    /// The NUMA node that it belongs to; `node`.
    public var node: UInt64?

    /// A device of its parts.
    public init(kind: String, backend: String, address: UInt64, node: UInt64? = nil) {
      self.kind = kind
      self.backend = backend
      self.address = address
      self.node = node
    }
  }

  /// A disk as it was at the moment of the image.
  public struct DiskFacts: Equatable, Sendable {
    /// What the VM's configuration calls it; `name`.
    public var name: String
    /// The file that belongs to the image, or a URI or other text of QEMU's that says what it is; `file`.
    public var file: String
    /// The file's format; `format`.
    public var format: String
    /// The bytes that the guest sees; `size`.
    public var guestByteCount: UInt64?
    /// What the file was; `nil` where that says nothing of its contents, as of devices, or cannot be known; `state`.
    public var state: FileState?

    /// A disk of its parts.
    public init(
      name: String, file: String, format: String, guestByteCount: UInt64? = nil,
      state: FileState? = nil
    ) {
      self.name = name
      self.file = file
      self.format = format
      self.guestByteCount = guestByteCount
      self.state = state
    }
  }

  /// A regular file, and what changes about it when it is written to.
  public struct FileState: Equatable, Sendable {
    /// Its length in bytes; `size`.
    public var byteCount: UInt64
    /// When it was written to last, in whole seconds since the begin of 1970 (UTC); `modified`.
    public var modifiedSeconds: Int64
    /// The rest of that, in nanoseconds; `modifiedNanoseconds`.
    public var modifiedNanoseconds: Int64
    /// The number of the file system that it is on, as the kernel gave it at that time; `device`.
    public var device: UInt64?
    /// The file's number there; `inode`.
    public var inode: UInt64?

    /// A state of its parts.
    public init(
      byteCount: UInt64, modifiedSeconds: Int64, modifiedNanoseconds: Int64,
      device: UInt64? = nil, inode: UInt64? = nil
    ) {
      self.byteCount = byteCount
      self.modifiedSeconds = modifiedSeconds
      self.modifiedNanoseconds = modifiedNanoseconds
      self.device = device
      self.inode = inode
    }

    /// Whether `other` is the same file, whatever its name.
    package func isSameFile(as other: FileState) -> Bool {
      device != nil && device == other.device && inode != nil && inode == other.inode
    }

    /// Whether `other`, a state at a later time, is that of a file that was not written to since, or of a copy that has kept its time. Some
    /// programs keep whole seconds only.
    package func isUnchanged(in other: FileState) -> Bool {
      byteCount == other.byteCount && modifiedSeconds == other.modifiedSeconds
        && (modifiedNanoseconds == other.modifiedNanoseconds
          || other.modifiedNanoseconds == 0 && !isSameFile(as: other))
    }
  }
}

extension ImageFacts {
  /// The only version of the area.
  package static let version: UInt32 = 1

  /// The bytes of the area that begins at `start`: header and table.
  package func encoded(at start: FileOffset) -> (header: ByteOutput, table: ByteOutput) {
    var table = ByteOutput(at: start + ByteCount(AreaHeader.byteCount))
    table.write(text)
    let header = AreaHeader(
      .facts, version: Self.version, isNeeded: false, range: start..<table.offset, table: table)
    return (header.encoded, table)
  }

  /// The JSON text.
  package var text: [UInt8] {
    var text: [UInt8] = []
    json.append(to: &text)
    return text
  }

  /// Reads the table that `header` tells of; `input` has just its bytes.
  ///
  /// - Throws: `area` for another sum; `facts`, `overLimit`.
  package init(header: AreaHeader, parsing input: inout ByteInput) throws(FormatError) {
    try Self.check(header)
    let context = FormatError.Context.area(header.kind)
    let place = input.offset
    let bytes = try input.readBytes(Int(header.table.byteCount.rawValue), in: context)
    try header.check(table: bytes)
    try self.init(parsing: bytes, at: place)
  }

  /// Reads a JSON text, which begins at `place`.
  ///
  /// - Throws: `facts`.
  package init(parsing bytes: [UInt8], at place: FileOffset = .zero) throws(FormatError) {
    let context = FormatError.Context.area(.facts)
    let json: JSONValue
    do throws(JSONError) {
      json = try JSONValue(parsing: bytes)
    } catch {
      throw FormatError(
        .facts(.notJSON(error.problem)), at: place + ByteCount(error.position), in: context)
    }
    do throws(FactsProblem) {
      self = try ImageFacts(json)
    } catch {
      throw FormatError(.facts(error), at: place, in: context)
    }
  }

  /// Makes sure that a table is no longer than one can be, before it is read.
  package static func check(_ header: AreaHeader) throws(FormatError) {
    let (found, limit) = (header.table.byteCount.rawValue, ImageLimits.factsBytes.rawValue)
    guard found <= limit else {
      throw FormatError(
        .overLimit(.factsBytes, found: found, limit: limit), at: header.range.lowerBound,
        in: .area(header.kind))
    }
  }
}

/// Why a text is not the facts of an image.
public enum FactsProblem: Error, Equatable, Sendable {
  /// It is no JSON.
  case notJSON(JSONProblem)
  /// It is no object.
  case notObject
  /// The member of this name has a value of another type.
  case member(String, expected: String)
}

extension FactsProblem: CustomStringConvertible {
  /// What was found and what was expected.
  public var description: String {
    switch self {
    case .notJSON(let problem): "the facts are no JSON: \(problem)."
    case .notObject: "the facts are no JSON object."
    case .member(let name, let expected): "the member \(quoted(name)) is not \(expected)."
    }
  }
}

// MARK: The JSON

extension ImageFacts {
  private var json: JSONValue {
    .present([
      ("time", time.map(JSONValue.integer)), ("host", host.map(JSONValue.string)),
      ("tool", tool.map(JSONValue.string)), ("name", name.map(JSONValue.string)),
      ("uuid", uuid.map(JSONValue.string)), ("qemu", qemuVersion.map(JSONValue.string)),
      ("commandLine", .array(commandLine.map(JSONValue.string))),
      ("memoryDevices", .array(memoryDevices.map(\.json))), ("disks", .array(disks.map(\.json))),
    ])
  }

  private init(_ json: JSONValue) throws(FactsProblem) {
    guard case .object = json else { throw .notObject }
    time = try json.integer("time")
    host = try json.text("host")
    tool = try json.text("tool")
    name = try json.text("name")
    uuid = try json.text("uuid")
    qemuVersion = try json.text("qemu")
    commandLine = []
    for word in try json.list("commandLine") {
      guard case .string(let text) = word else {
        throw .member("commandLine", expected: "a list of strings")
      }
      commandLine.append(text)
    }
    memoryDevices = []
    for device in try json.list("memoryDevices") {
      if let device = try MemoryFacts(device) { memoryDevices.append(device) }
    }
    disks = []
    for disk in try json.list("disks") { disks.append(try DiskFacts(disk)) }
  }
}

extension ImageFacts.MemoryFacts {
  fileprivate var json: JSONValue {
    .present([
      ("kind", .string(kind)), ("backend", .string(backend)), ("address", .count(address)),
      ("node", node.map(JSONValue.count)),
    ])
  }

  /// `nil` for one that lacks a part.
  fileprivate init?(_ json: JSONValue) throws(FactsProblem) {
    guard case .object = json else {
      throw .member("memoryDevices", expected: "a list of objects")
    }
    let (kind, backend) = (try json.text("kind"), try json.text("backend"))
    let (address, node) = (try json.count("address"), try json.count("node"))
    guard let kind, let backend, let address else { return nil }
    self.init(kind: kind, backend: backend, address: address, node: node)
  }
}

extension ImageFacts.DiskFacts {
  fileprivate var json: JSONValue {
    .present([
      ("name", .string(name)), ("file", .string(file)), ("format", .string(format)),
      ("size", guestByteCount.map(JSONValue.count)),
      (
        "state",
        state.map {
          .present([
            ("size", .count($0.byteCount)), ("modified", .integer($0.modifiedSeconds)),
            ("modifiedNanoseconds", .integer($0.modifiedNanoseconds)),
            ("device", $0.device.map(JSONValue.count)), ("inode", $0.inode.map(JSONValue.count)),
          ])
        }
      ),
    ])
  }

  fileprivate init(_ json: JSONValue) throws(FactsProblem) {
    guard case .object = json else { throw .member("disks", expected: "a list of objects") }
    name = try json.text("name") ?? ""
    file = try json.text("file") ?? ""
    format = try json.text("format") ?? ""
    guestByteCount = try json.count("size")
    state = nil
    guard let found = json["state"] else { return }
    guard case .object = found else { throw .member("state", expected: "an object") }
    let (device, inode) = (try found.count("device"), try found.count("inode"))
    guard let byteCount = try found.count("size"), let seconds = try found.integer("modified"),
      let nanoseconds = try found.integer("modifiedNanoseconds")
    else { return }
    state = ImageFacts.FileState(
      byteCount: byteCount, modifiedSeconds: seconds, modifiedNanoseconds: nanoseconds,
      device: device, inode: inode)
  }
}

extension JSONValue {
  /// An object of those members that are there.
  fileprivate static func present(_ members: [(name: String, value: JSONValue?)]) -> JSONValue {
    .object(members.compactMap { name, value in value.map { Member(name: name, value: $0) } })
  }

  fileprivate func text(_ name: String) throws(FactsProblem) -> String? {
    switch self[name] {
    case nil: nil
    case .string(let text)?: text
    default: throw .member(name, expected: "a string")
    }
  }

  fileprivate func integer(_ name: String) throws(FactsProblem) -> Int64? {
    switch self[name] {
    case nil: nil
    case .integer(let value)?: value
    default: throw .member(name, expected: "a whole number of 64 bits")
    }
  }

  fileprivate func count(_ name: String) throws(FactsProblem) -> UInt64? {
    guard let value = self[name] else { return nil }
    guard let number = value.unsignedInteger else {
      throw .member(name, expected: "a whole number that is not negative")
    }
    return number
  }

  fileprivate func list(_ name: String) throws(FactsProblem) -> [JSONValue] {
    switch self[name] {
    case nil: []
    case .array(let elements)?: elements
    default: throw .member(name, expected: "a list")
    }
  }
}

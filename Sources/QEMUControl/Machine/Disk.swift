import MappedRAMFormat
import QMP

/// A disk or drive of a VM.
public struct Disk: Equatable, Sendable {
  /// The name of `-drive id=`; `nil` for a disk made otherwise.
  public var drive: String?
  /// The device that shows it to the guest, an id or a path in QEMU's object tree.
  public var device: String?
  /// Whether its medium can be changed.
  public var isRemovable: Bool
  /// What is in it; `nil` for an empty drive.
  public var medium: Medium?

  /// What a disk's bytes come from.
  public struct Medium: Equatable, Sendable {
    /// The topmost node.
    public var node: String?
    /// The file, as QEMU names it; for other sources a URI, or a text that begins with `json:`.
    public var file: String
    /// The format: `qcow2`, `raw`, …
    public var driver: String
    /// Whether the guest cannot write to it.
    public var isReadOnly: Bool
    /// Whether QEMU may write to it: not after a migration that completed.
    public var isActive: Bool
    /// Whether what is written to it is encrypted by QEMU.
    public var isEncrypted = false
    /// The bytes that the guest sees.
    public var virtualByteCount: UInt64?
    /// What it stands on, the uppermost first, as QEMU names files.
    public var backingFiles: [String] = []
    /// Whether QEMU writes to the file as it closes it, also of a VM that is paused: a qcow2 file with lazy reference counts, or with bitmaps.
    public var isWrittenWhenClosed = false
    /// Whether what the guest writes goes into another file beside this one, which has the metadata (qcow2's `data_file`).
    public var hasDataFile = false
  }

  /// Whether the guest can write to it.
  public var isWritable: Bool { medium.map { !$0.isReadOnly } ?? false }

  /// What to call it in messages.
  ///
  /// The id of its device, if that has one, or of its drive. QEMU 10.0.2 gives a virtio disk's device as
  /// `/machine/peripheral/ID/virtio-backend`, and one without an id as `/machine/peripheral-anon/device[N]/virtio-backend`.
  public var label: String {
    let anonymous = device.flatMap { Self.component(of: $0, after: "peripheral-anon") }
    return device.flatMap { Self.component(of: $0, after: "peripheral") } ?? drive ?? anonymous
      ?? device ?? medium?.node ?? "disk"
  }

  private static func component(of path: String, after name: String) -> String? {
    let parts = path.split(separator: "/")
    guard path.hasPrefix("/"), let index = parts.firstIndex(of: name[...]) else { return nil }
    return parts.dropFirst(index + 1).first.map(String.init)
  }
}

extension Disk.Medium {
  /// Whether `file` is a path that depends on QEMU's working directory: no absolute one, and nothing with a protocol.
  var hasRelativePath: Bool { Self.isRelativePath(file) }

  /// The path of the file at the bottom, where there is one: a `json:` text names it in the nodes that it is made of.
  var bottomFile: String? { Self.bottomFile(of: file) }

  /// The paths of the files at the bottom of this and of what it stands on, the uppermost first; `nil` for one that has none.
  var bottomFiles: [String?] { ([file] + backingFiles).map { Self.bottomFile(of: $0) } }

  private static func bottomFile(of file: String) -> String? {
    guard var node = nodes(of: file) else {
      return file.hasPrefix("/") || isRelativePath(file) ? file : nil
    }
    while let below = node["file"] { node = below }
    return node["filename"]?.string
  }

  /// The nodes that a `json:` text is made of; `nil` where the file has another kind of name.
  private static func nodes(of file: String) -> JSONValue? {
    guard file.hasPrefix(Self.prefix) else { return nil }
    // What is no JSON names no file either.
    return (try? JSONValue(parsing: Array(file.utf8.dropFirst(Self.prefix.utf8.count)))) ?? .null
  }

  private static let prefix = "json:"

  /// `file`, with what `absolute` makes of each path in it; `nil` where that is nothing for one of them.
  func named(_ absolute: (String) -> String?) -> String? {
    guard let nodes = Self.nodes(of: file) else { return absolute(file) }
    return nodes.replacingFileNames(absolute).map { Self.prefix + $0.text }
  }

  /// The same of any name that QEMU gives a file.
  static func isRelativePath(_ file: String) -> Bool {
    // What QEMU takes for a protocol: a colon before any slash (10.0.2, block.c, path_has_protocol).
    !file.isEmpty && file.first { $0 == ":" || $0 == "/" } != ":" && file.first != "/"
  }
}

extension JSONValue {
  /// The same value with other strings called `filename`, at any depth; `nil` where there is none for one of them.
  fileprivate func replacingFileNames(_ change: (String) -> String?) -> JSONValue? {
    switch self {
    case .object(let members):
      var changed: [Member] = []
      for member in members {
        let name = member.name == "filename" ? member.value.string : nil
        let value =
          name.map { change($0).map(JSONValue.string) } ?? member.value.replacingFileNames(change)
        guard let value else { return nil }
        changed.append(Member(name: member.name, value: value))
      }
      return .object(changed)
    case .array(let elements):
      let changed = elements.compactMap { $0.replacingFileNames(change) }
      return changed.count == elements.count ? .array(changed) : nil
    default: return self
    }
  }
}

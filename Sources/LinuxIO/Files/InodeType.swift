public import SystemPackage

/// What a path can lead to (inode(7)), by its name in messages.
///
/// `FileType` of swift-system is a number, which has no name and which no `switch` can be exhaustive over.
public enum InodeType: String, CaseIterable, Sendable {
  case regular = "regular file"
  case blockDevice = "block device"
  case characterDevice = "character device"
  case directory = "directory"
  case fifo = "FIFO"
  case socket = "socket"
  case symbolicLink = "symbolic link"
  /// None of these, as with an anonymous inode.
  case unknown = "file of unknown type"

  /// The type with the number `type`.
  init(_ type: FileType) {
    switch type {
    case .regular: self = .regular
    case .blockSpecial: self = .blockDevice
    case .characterSpecial: self = .characterDevice
    case .directory: self = .directory
    case .fifo: self = .fifo
    case .socket: self = .socket
    case .symbolicLink: self = .symbolicLink
    default: self = .unknown
    }
  }

  /// What is at `path`, after symbolic links; `nil` if nothing is, or it may not be looked at.
  public init?(at path: FilePath) {
    guard let found = try? Stat(path) else { return nil }
    self.init(found.type)
  }
}

extension File {
  /// Whether a block device is at `path`, after symbolic links.
  package static func isBlockDevice(_ path: FilePath) -> Bool {
    InodeType(at: path) == .blockDevice
  }
}

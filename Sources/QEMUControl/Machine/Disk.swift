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
    /// The bytes that the guest sees.
    public var virtualByteCount: UInt64?
  }

  /// Whether the guest can write to it.
  public var isWritable: Bool { medium.map { !$0.isReadOnly } ?? false }

  /// What to call it in messages.
  public var label: String { device ?? drive ?? medium?.node ?? "disk" }
}

/// Descriptors that QEMU was handed, and that it opens as the file `path`: it needs no right to open a path itself.
///
/// QEMU chooses the descriptor whose access mode, and whose O_DIRECT, are those that it wants (source: observed on QEMU 10.0.2).
struct DescriptorSet {
  private let connection: QMPConnection
  /// The file's name for QEMU.
  let path: String
  private let id: UInt64

  /// Hands over `descriptors`, at least one. They stay the caller's.
  init(_ descriptors: [CInt], to connection: QMPConnection) throws(QMPError) {
    var set: QEMUDescriptor?
    for descriptor in descriptors {
      set = try connection.execute(
        .addDescriptor(descriptor, to: set?.set, note: "mapped-ram"))
    }
    guard let set else { preconditionFailure("at least one descriptor") }
    id = set.set
    path = set.path
    self.connection = connection
  }

  /// Takes the descriptors back. A QEMU that is gone has given them back already.
  func remove() { try? connection.execute(.removeDescriptor(set: id)) }
}

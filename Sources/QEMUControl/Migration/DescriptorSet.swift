import LinuxIO
import MappedRAM

/// A file that QEMU was handed as descriptors, and that it opens as `path`: it needs no right to open a path itself.
///
/// QEMU chooses the descriptor whose access mode, and whose O_DIRECT, are those that it wants (source: observed on QEMU 10.0.2).
struct DescriptorSet {
  private let connection: QMPConnection
  /// The file's name for QEMU.
  let path: String
  private let id: UInt64

  /// Hands over `file`, for one purpose.
  ///
  /// - Parameter direct: whether there is a descriptor with O_DIRECT as well. QEMU 10.0.2 crashes where `direct-io` is on and
  ///   there is none.
  init(
    _ file: File, for purpose: File.Purpose, direct: Bool, to connection: QMPConnection
  ) throws(VMError) {
    let set = try Self.add(file, purpose, direct: false, to: nil, connection)
    self.connection = connection
    id = set.set
    path = set.path
    if direct { _ = try Self.add(file, purpose, direct: true, to: id, connection) }
  }

  /// Hands over a descriptor. QEMU has one of its own afterwards.
  private static func add(
    _ file: File, _ purpose: File.Purpose, direct: Bool, to set: UInt64?,
    _ connection: QMPConnection
  ) throws(VMError) -> QEMUDescriptor {
    let descriptor: OwnedDescriptor
    do throws(FileError) {
      descriptor = try file.openAgain(for: purpose, direct: direct)
    } catch {
      throw .image(.file(error))
    }
    do throws(QMPError) {
      return try connection.execute(
        .addDescriptor(descriptor.rawValue, to: set, note: "mapped-ram"))
    } catch {
      throw .qmp(error)
    }
  }

  /// Takes the descriptors back. A QEMU that is gone has given them back already.
  func remove() { try? connection.execute(.removeDescriptor(set: id)) }
}

extension File {
  /// Whether the file takes O_DIRECT.
  var isDirect: Bool { if case .active = directIO { true } else { false } }
}

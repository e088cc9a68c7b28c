import LinuxIO
import MappedRAM
import QMP

/// A file that QEMU was handed as descriptors, and that it opens as `path`: it needs no right to open a path itself.
///
/// QEMU chooses the descriptor whose access mode, and whose O_DIRECT, are those that it wants (source: observed on QEMU 10.0.2).
struct DescriptorSet {
  private let connection: QMPConnection
  /// The file's name for QEMU.
  let path: String
  private let id: ID

  /// The number of a set, known before QEMU has it: so it can be taken back whatever happens.
  struct ID {
    /// The number.
    let number: UInt64

    /// One that nobody else uses: others leave the choice to QEMU, which counts from 0.
    init() { number = .random(in: 1 << 24..<1 << 31) }
  }

  /// Hands over `file`, for one purpose.
  ///
  /// - Parameters:
  ///   - direct: whether there is a descriptor with O_DIRECT as well. QEMU 10.0.2 crashes where `direct-io` is on and there is
  ///     none.
  ///   - id: the set's number.
  /// - Throws: also where QEMU has some of the descriptors; they are taken back.
  init(
    _ file: File, for purpose: File.Purpose, direct: Bool, to connection: QMPConnection,
    as id: ID = ID()
  ) throws(VMError) {
    self.connection = connection
    self.id = id
    path = QEMUDescriptor(set: id.number, number: 0).path
    do throws(VMError) {
      try Self.add(file, purpose, direct: false, to: id, connection)
      if direct { try Self.add(file, purpose, direct: true, to: id, connection) }
    } catch {
      remove()
      throw error
    }
  }

  /// Hands over a descriptor. QEMU has one of its own afterwards.
  private static func add(
    _ file: File, _ purpose: File.Purpose, direct: Bool, to id: ID, _ connection: QMPConnection
  ) throws(VMError) {
    let descriptor: OwnedDescriptor
    do throws(SystemCallError) {
      descriptor = try file.openAgain(for: purpose, direct: direct)
    } catch {
      throw .image(.system(error))
    }
    do throws(QMPError) {
      _ = try connection.execute(
        .addDescriptor(descriptor.rawValue, to: id.number, note: "mapped-ram"))
    } catch {
      throw .qmp(error)
    }
  }

  /// Takes the descriptors back. A QEMU that is gone has given them back already.
  func remove() { try? connection.execute(.removeDescriptor(set: id.number)) }
}

extension File {
  /// Whether the file takes O_DIRECT.
  var isDirect: Bool { if case .active = directIO { true } else { false } }
}

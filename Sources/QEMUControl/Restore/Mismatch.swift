import MappedRAM
public import MappedRAMFormat

/// A way in which a VM is not the one that an image needs.
public enum Mismatch: Equatable, Sendable {
  /// Another machine type.
  case machineType(found: String, expected: String)
  /// Another size of the target's pages.
  case pageSize(found: PageSize, expected: PageSize)
  /// The image has a RAMBlock that the VM has not.
  case missingBlock(idstr: String, ByteCount)
  /// The VM has a RAMBlock that the image has not.
  case extraBlock(idstr: String, ByteCount)
  /// A RAMBlock has another size, and cannot be resized to the image's.
  case blockSize(idstr: String, found: ByteCount, expected: ByteCount)
  /// Another number of virtual processors.
  case processors(found: Int, expected: Int)
  /// The image has the state of a device that the VM has not.
  case missingDevice(idstr: String, instanceID: UInt32)
  /// The VM has a device of which the image has no state.
  case extraDevice(idstr: String, instanceID: UInt32)
  /// The image has a later version of a device's state than this QEMU reads.
  case deviceVersion(idstr: String, found: UInt32, expected: UInt32)
}

extension Mismatch {
  /// Whether it is about a device, or the memory of one.
  var isAboutDevice: Bool {
    switch self {
    case .machineType, .pageSize, .processors: false
    case .missingBlock(let idstr, _), .extraBlock(let idstr, _), .blockSize(let idstr, _, _):
      idstr.contains("/")
    case .missingDevice, .extraDevice, .deviceVersion: true
    }
  }
}

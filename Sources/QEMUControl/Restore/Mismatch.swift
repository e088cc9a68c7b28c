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
  /// The image has the state of a device that the VM has not.
  case missingDevice(idstr: String, instanceID: UInt32)
  /// The VM has a device of which the image has no state.
  case extraDevice(idstr: String, instanceID: UInt32)
  /// The image has a later version of a device's state than this QEMU reads.
  case deviceVersion(idstr: String, found: UInt32, expected: UInt32)
}

/// Compares an image with the VM that is to take it.
struct DestinationCheck {
  /// What the image needs.
  let image: Image

  /// A RAMBlock of the VM.
  struct Block: Equatable, Sendable {
    var idstr: String
    var usedLength: ByteCount
    /// The most that the block can be resized to.
    var maximumLength: ByteCount
  }

  /// Compares the machine types: QEMU takes any name that begins with the image's, this does not.
  func machineType(_ found: String) -> [Mismatch] {
    guard let expected = image.prologue?.configuration.machineType, expected != found else {
      return []
    }
    return [.machineType(found: found, expected: expected)]
  }

  /// Compares the RAMBlocks.
  func blocks(_ found: [Block]) -> [Mismatch] {
    var mismatches: [Mismatch] = []
    for block in image.blocks.map(\.block) {
      guard let other = found.first(where: { $0.idstr == block.idstr }) else {
        mismatches.append(.missingBlock(idstr: block.idstr, block.usedLength))
        continue
      }
      let isResizable = other.maximumLength > other.usedLength || block.idstr.hasPrefix("/rom@")
      guard
        block.usedLength == other.usedLength
          || isResizable && block.usedLength <= other.maximumLength
      else {
        mismatches.append(
          .blockSize(
            idstr: block.idstr, found: other.usedLength, expected: block.usedLength))
        continue
      }
    }
    let known = Set(image.blocks.map(\.block.idstr))
    for other in found where !known.contains(other.idstr) {
      mismatches.append(.extraBlock(idstr: other.idstr, other.usedLength))
    }
    return mismatches
  }

  /// Compares the devices whose state the image has with those of the VM.
  func devices(_ found: [SectionIdentity]) -> [Mismatch] {
    let expected = image.sections.filter { $0.type == .full }.compactMap(\.identity)
    func key(_ identity: SectionIdentity) -> String { "\(identity.instanceID) \(identity.idstr)" }
    let foundByKey = Dictionary(
      found.map { (key($0), $0) }, uniquingKeysWith: { first, _ in first })
    let expectedKeys = Set(expected.map(key))
    var mismatches: [Mismatch] = []
    for device in expected {
      guard let other = foundByKey[key(device)] else {
        mismatches.append(
          .missingDevice(idstr: device.idstr, instanceID: device.instanceID))
        continue
      }
      if device.version > other.version {
        mismatches.append(
          .deviceVersion(
            idstr: device.idstr, found: other.version, expected: device.version))
      }
    }
    for device in found where !expectedKeys.contains(key(device)) {
      mismatches.append(.extraDevice(idstr: device.idstr, instanceID: device.instanceID))
    }
    return mismatches
  }
}

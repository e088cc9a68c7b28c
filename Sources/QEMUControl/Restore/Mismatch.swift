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
    let known = Set(image.blocks.map(\.idstr))
    for other in found where !known.contains(other.idstr) {
      mismatches.append(.extraBlock(idstr: other.idstr, other.usedLength))
    }
    return mismatches
  }

  /// Compares the devices whose state the image has with those of the VM.
  func devices(_ found: [SectionIdentity]) -> [Mismatch] {
    let expected = image.sections.filter { $0.type == .full }.compactMap(\.identity)
    var mismatches = processors(found, expected)
    // One word about processors says it all.
    let passedOver = mismatches.isEmpty ? [] : Self.processorStates
    let expectedStates = Self.byKey(expected), foundStates = Self.byKey(found)
    for device in expected where !passedOver.contains(device.idstr) {
      guard let other = foundStates[Self.key(device)] else {
        mismatches.append(.missingDevice(idstr: device.idstr, instanceID: device.instanceID))
        continue
      }
      if device.version > other.version {
        mismatches.append(
          .deviceVersion(
            idstr: device.idstr, found: other.version, expected: device.version))
      }
    }
    for device in found
    where expectedStates[Self.key(device)] == nil && !passedOver.contains(device.idstr) {
      mismatches.append(.extraDevice(idstr: device.idstr, instanceID: device.instanceID))
    }
    return mismatches
  }

  /// Compares the numbers of processors, each of which has a state "cpu_common" (QEMU 10.0.2, seen with x86 and Arm).
  private func processors(
    _ found: [SectionIdentity], _ expected: [SectionIdentity]
  ) -> [Mismatch] {
    let (has, needs) = (found.count(of: "cpu_common"), expected.count(of: "cpu_common"))
    return has == needs || has == 0 || needs == 0 ? [] : [.processors(found: has, expected: needs)]
  }

  /// The states of which each processor has one.
  private static let processorStates: Set<String> = ["cpu_common", "cpu", "apic"]

  private static func key(_ identity: SectionIdentity) -> String {
    "\(identity.instanceID) \(identity.idstr)"
  }

  private static func byKey(_ states: [SectionIdentity]) -> [String: SectionIdentity] {
    Dictionary(states.map { (key($0), $0) }) { first, _ in first }
  }
}

extension [SectionIdentity] {
  fileprivate func count(of idstr: String) -> Int { count { $0.idstr == idstr } }
}

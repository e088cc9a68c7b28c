import MappedRAM
import MappedRAMFormat

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

extension Mismatch: CustomStringConvertible {
  /// What differs, and what to change.
  public var description: String {
    switch self {
    case .machineType(let found, let expected):
      "the image is of a machine of type \(expected), this VM is \(found): start it with -machine \(expected)"
    case .pageSize(let found, let expected):
      "the image has pages of \(expected.byteCount) bytes, this VM of \(found.byteCount): it is another architecture"
    case .missingBlock(let idstr, let bytes):
      "the image has the RAMBlock \"\(idstr)\" of \(bytes.rawValue) bytes, this VM has none of that name: "
        + Self.advice(onBlock: idstr)
    case .extraBlock(let idstr, let bytes):
      "this VM has the RAMBlock \"\(idstr)\" of \(bytes.rawValue) bytes, of which the image has nothing: "
        + Self.advice(onExtraBlock: idstr)
    case .blockSize(let idstr, let found, let expected):
      "the RAMBlock \"\(idstr)\" has \(expected.rawValue) bytes in the image and \(found.rawValue) in this VM: "
        + Self.advice(onSizeOf: idstr, expected)
    case .processors(let found, let expected):
      "the image is of a machine with \(expected) virtual processors, this VM has \(found): start it with -smp \(expected)"
    case .missingDevice(let idstr, let instance):
      "the image has the state of \(Self.name(idstr, instance)), this VM has no such device: "
        + Self.advice(onDevice: idstr)
    case .extraDevice(let idstr, let instance):
      "this VM has the device \(Self.name(idstr, instance)), of which the image has no state: "
        + (idstr == Self.kvmClock
          ? "this VM runs with KVM and the saved one did not, so start it with -accel tcg, or as it was started then"
          : "leave it out")
    case .deviceVersion(let idstr, let found, let expected):
      "the image has version \(expected) of the state of \"\(idstr)\", this QEMU reads up to \(found): use a newer QEMU"
    }
  }

  private static func mebibytes(_ bytes: ByteCount) -> String {
    bytes.rawValue % (1 << 20) == 0 ? "\(bytes.rawValue >> 20)M" : "\(bytes.rawValue >> 10)K"
  }

  private static func name(_ idstr: String, _ instance: UInt32) -> String {
    instance == 0 ? "\"\(idstr)\"" : "\"\(idstr)\" (number \(instance))"
  }

  /// A device that x86 machines have with KVM alone (QEMU 10.0, hw/i386/kvm/clock.c).
  private static let kvmClock = "kvmclock"

  /// Whether a block holds firmware, that of a machine (`pc.bios`, `system.flash0`, `virt.flash1`, seen with QEMU 10.0.2) or the
  /// option ROM of a device on a bus (`0000:00:03.0/virtio-net-pci.rom`).
  private static func kind(ofBlock idstr: String) -> BlockKind {
    let name = idstr.split(separator: "/").last ?? ""
    if idstr.contains("/") { return name.hasSuffix(".rom") ? .optionROM : .device }
    return name.hasSuffix(".bios") || name.contains(".flash") ? .firmware : .memory
  }

  private enum BlockKind {
    case memory, firmware, optionROM, device
  }

  private static func advice(onSizeOf idstr: String, _ expected: ByteCount) -> String {
    switch kind(ofBlock: idstr) {
    case .memory:
      "give the VM the same memory, \(mebibytes(expected)) for this block (-m, or size= of its backend)"
    case .firmware: "use the same firmware (-bios, or the files of the pflash drives)"
    case .optionROM: "give the device the same ROM (romfile=, romsize=)"
    case .device: "give the device that it belongs to the same size of memory"
    }
  }

  private static func advice(onExtraBlock idstr: String) -> String {
    switch kind(ofBlock: idstr) {
    case .memory, .device:
      "leave out the device or memory backend that it belongs to, or give that the name that it has in the image"
    case .firmware: "use the same firmware (-bios, or the files of the pflash drives)"
    case .optionROM: "leave out the device that it belongs to, or its ROM (romfile=)"
    }
  }

  private static func advice(onBlock idstr: String) -> String {
    if idstr.hasPrefix("/rom@") { return "use the same QEMU version and firmware" }
    switch kind(ofBlock: idstr) {
    case .device: return advice(onDevice: idstr)
    case .optionROM:
      return advice(onDevice: idstr)
        + "; if it is there, give it the ROM that it had then (romfile=)"
    case .firmware: return "use the same firmware (-bios, or the files of the pflash drives)"
    case .memory: break
    }
    return
      "it is memory, so give the VM a memory backend with id=\(idstr), or leave out the backend that has another name"
  }

  /// A device's idstr begins with its place on a bus: `0000:00:02.0/virtio-net`.
  private static func advice(onDevice idstr: String) -> String {
    if idstr == kvmClock {
      return "the saved VM ran with KVM and this one does not, so start it with -accel kvm"
    }
    let parts = idstr.split(separator: "/", maxSplits: 1)
    guard parts.count == 2, let place = parts.first, place.contains(":") else {
      return "add what it belongs to: the same devices and options as when the VM was saved"
    }
    let address = place.split(separator: ":").last.map(String.init) ?? String(place)
    return "add the device with addr=\(address), as when the VM was saved"
  }
}

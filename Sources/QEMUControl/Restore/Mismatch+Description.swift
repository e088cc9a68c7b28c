import MappedRAMFormat

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
        + "leave out the device or memory backend that it belongs to, or give that the name that it has in the image"
    case .blockSize(let idstr, let found, let expected):
      "the RAMBlock \"\(idstr)\" has \(expected.rawValue) bytes in the image and \(found.rawValue) in this VM: "
        + (idstr.contains("/")
          ? "give the device that it belongs to the same size of memory"
          : "give the VM the same memory, \(Self.mebibytes(expected)) for this block (-m, or size= of its backend)")
    case .processors(let found, let expected):
      "the image is of a machine with \(expected) virtual processors, this VM has \(found): start it with -smp \(expected)"
    case .missingDevice(let idstr, let instance):
      "the image has the state of \(Self.name(idstr, instance)), this VM has no such device: "
        + Self.advice(onDevice: idstr)
    case .extraDevice(let idstr, let instance):
      "this VM has the device \(Self.name(idstr, instance)), of which the image has no state: leave it out"
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

  private static func advice(onBlock idstr: String) -> String {
    if idstr.hasPrefix("/rom@") { return "use the same QEMU version and firmware" }
    guard !idstr.contains("/") else { return advice(onDevice: idstr) }
    return
      "it is memory, so give the VM a memory backend with id=\(idstr), or leave out the backend that has another name"
  }

  /// A device's idstr begins with its place on a bus: `0000:00:02.0/virtio-net`.
  private static func advice(onDevice idstr: String) -> String {
    let parts = idstr.split(separator: "/", maxSplits: 1)
    guard parts.count == 2, let place = parts.first, place.contains(":") else {
      return "add what it belongs to: the same devices and options as when the VM was saved"
    }
    let address = place.split(separator: ":").last.map(String.init) ?? String(place)
    return "add the device with addr=\(address), as when the VM was saved"
  }
}

import MappedRAMFormat
import QEMUControl

/// What a save of a VM would do, for people.
struct VMForecastText {
  let inspection: VMInspection
  private var save: SaveForecast { inspection.save }

  /// Names and values.
  var facts: [(String, String)] {
    var facts = [("Engine", engine)]
    facts += save.captureObstacles.map { ("  no capture", $0.text) }
    if save.engine == nil {
      facts += save.engineObstacles.map { ("  nor by QEMU", $0.description) }
    }
    if save.engine == .capture { facts.append(("RAM", reading)) }
    if let length = save.byteCountBeforeDevices, save.engine != nil {
      facts.append(
        (
          "Image",
          "\(NumberText.exactBytes(length)) long with its holes, and the device state behind that"
        ))
    }
    if let bytes = save.diskBytesAtMost, save.engine != nil {
      facts.append(
        ("Room on disk", "at most \(NumberText.exactBytes(bytes)), and the device state"))
    }
    facts.append(("Disks", disks))
    return facts
  }

  private var engine: String {
    switch save.engine {
    case .capture: "capture: QEMU's memory can be read from outside"
    case .qemu: "qemu: QEMU writes the image by itself"
    case .auto, nil: "none: the VM cannot be saved now"
    }
  }

  /// How RAM would be read.
  private var reading: String {
    var bytes: [(route: String, count: UInt64)] = []
    for memory in inspection.memory {
      let route =
        switch memory.route {
        case .file: "from shared memory"
        case .process, nil: "by process_vm_readv"
        }
      let length = memory.block.usedLength.rawValue
      if let index = bytes.firstIndex(where: { $0.route == route }) {
        bytes[index].count += length
      } else {
        bytes.append((route, length))
      }
    }
    return bytes.map { "\(NumberText.bytes($0.count)) \($0.route)" }.joined(separator: ", ")
  }

  private var disks: String {
    let unlinked = inspection.unlinkedDisks
    let writable = inspection.vm.writableDisks.filter { !unlinked.contains($0) }
    guard !writable.isEmpty else {
      return "none that the guest can write to"
        + (unlinked.isEmpty ? "" : " and that is there when QEMU has ended")
    }
    let labels = writable.map(\.label).joined(separator: ", ")
    return save.disksDiverge
      ? "the VM would go on and write to \(labels), which then no longer fit the image: use --then quit, --then pause or "
        + "--snapshot-disks"
      : "\(labels) as now, as long as the VM does not go on"
  }
}

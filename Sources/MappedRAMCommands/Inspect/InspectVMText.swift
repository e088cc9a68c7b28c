import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage

/// What `inspect SOCKET` prints for people.
struct VMSummaryText {
  let socket: FilePath
  let inspection: VMInspection
  let output: (String) -> Void
  private var vm: RunningVM { inspection.vm }

  private static let width = 14

  /// Writes facts, blocks, disks, and what a save would do.
  func write() {
    write(facts)
    if !inspection.memory.isEmpty {
      output("\n")
      writeBlocks()
    }
    if !vm.disks.isEmpty {
      output("\n")
      writeDisks()
    }
    output("\nA save now\n")
    write(VMForecastText(inspection: inspection).facts, indentedBy: "  ")
  }

  private func write(_ facts: [(String, String)], indentedBy space: String = "") {
    for (name, value) in facts {
      output("\(space)\(name.padded(to: Self.width))\(TerminalText.line(value))\n")
    }
  }

  private var facts: [(String, String)] {
    var facts = [("QMP socket", socket.string)]
    if let name = vm.name { facts.append(("Name", name)) }
    if let uuid = vm.uuid { facts.append(("UUID", uuid)) }
    if vm.isManagedByLibvirt {
      facts.append(("Managed by", "libvirt: a save from here needs --managed-by-libvirt"))
    }
    return facts + [
      (
        "QEMU",
        "\(vm.version.description), process \(inspection.processID.map { "\($0)" } ?? "unknown")"
      ),
      ("Machine type", "\(vm.machineType), \(vm.target)"),
      ("State", vm.runState.rawValue),
      ("vCPUs", "\(vm.processorThreads.count)"),
      ("RAM", ram),
      ("Migration", vm.migration.status?.rawValue ?? "none"),
      ("Capabilities", capabilities),
    ]
  }

  private var ram: String {
    let total = vm.ramByteCount.rawValue
    var text =
      "\(NumberText.exactBytes(total)) in \(NumberText.count(vm.blocks.count, "block"))"
    let present = inspection.memory.compactMap(\.presentBytes)
    if present.count == inspection.memory.count {
      text += ", \(NumberText.bytes(present.reduce(0, +))) present"
    }
    return text
  }

  /// Those that are on.
  private var capabilities: String {
    let names = vm.capabilities.filter(\.value).map(\.key).sorted()
    return names.isEmpty ? "none on" : names.joined(separator: ", ")
  }
}

extension VMSummaryText {
  private func writeBlocks() {
    var table = TextTable([
      .text("RAMBlock"), .number("Used length"), .number("Present"), .number("Host address"),
      .text("Backing"),
    ])
    for memory in inspection.memory {
      table.add([
        memory.block.idstr, NumberText.bytes(memory.block.usedLength.rawValue),
        memory.presentBytes.map { NumberText.bytes($0) } ?? "?",
        memory.block.hostAddress.map { "0x" + String($0, radix: 16) } ?? "?", memory.backingText,
      ])
    }
    table.write(to: output)
  }

  private func writeDisks() {
    var table = TextTable([
      .text("Disk"), .text("Format"), .number("Size"), .text("Access"), .text("File"),
    ])
    for disk in vm.disks {
      guard let medium = disk.medium else {
        table.add([disk.label, "-", "-", "empty", "-"])
        continue
      }
      table.add([
        disk.label, medium.driver, medium.virtualByteCount.map { NumberText.bytes($0) } ?? "?",
        medium.isReadOnly ? "read-only" : "writable",
        medium.file
          + (inspection.unlinkedDisks.contains(disk)
            ? " (without a name: lost when QEMU ends)" : ""),
      ])
    }
    table.write(to: output)
  }
}

extension VMInspection.Block {
  /// What its memory is, in words.
  var backingText: String {
    let size = isHuge ? ", pages of \(NumberText.bytes(block.pageBytes))" : ""
    switch backing {
    case .anonymous: return "private" + size
    case .sharedFile(_, _, let path): return "shared, \(path)" + size
    case .privateFile(_, _, let path): return "private, on \(path)" + size
    case .mixed: return "several mappings" + size
    case nil: break
    }
    guard let backend else { return "unknown" + size }
    let file = backend.file.map { ", \($0)" } ?? ""
    return (backend.isShared ? "shared" : "private") + file + size
  }
}

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
        + (unlinked.isEmpty ? "" : " and that remains when QEMU has ended")
    }
    let labels = writable.map(\.label).joined(separator: ", ")
    return save.disksDiverge
      ? "the VM would be resumed and write to \(labels), which then no longer match the image: use --then quit, --then pause or "
        + "--snapshot-disks"
      : "\(labels) match the image as long as the VM is not resumed"
  }
}

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

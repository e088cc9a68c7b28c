import MappedRAM
import MappedRAMFormat
import QEMUArguments
import SystemPackage

/// What `inspect` prints for people.
struct SummaryText {
  let inspection: Inspection
  let output: (String) -> Void
  private var image: Image { inspection.image }

  /// Writes facts, blocks, counts, remarks and problems.
  func write() {
    for (name, value) in facts + libvirtFacts {
      output("\(name.padded(to: Self.width))\(TerminalText.line(value))\n")
    }
    if !image.blocks.isEmpty {
      output("\n")
      writeBlocks()
    }
    if let area = image.deviceArea {
      output("\n")
      write(area)
    }
  }

  private func write(_ area: DeviceArea) {
    var table = TextTable([
      .text("Device behind the stream"), .number("Instance"), .number("Buffers"), .number("Bytes"),
    ])
    for device in area.devices {
      table.add([
        device.identity.idstr, "\(device.identity.instanceID)", "\(device.buffers.count)",
        NumberText.bytes(device.byteCount.rawValue),
      ])
    }
    table.write(to: output)
  }

  /// Writes what is odd and what is wrong, after everything else.
  func writeRemarks() {
    let problems = image.problems.map(\.description)
    for (title, sentences) in [
      ("Remarks", image.remarks.map(\.sentence)), ("Problems", problems),
    ] where !sentences.isEmpty {
      output("\n\(title)\n")
      for sentence in sentences { output("  \(sentence)\n") }
    }
  }

  private static let width = 14

  private var facts: [(String, String)] {
    let configuration = image.prologue?.configuration
    var facts = [
      ("Image", image.path.string),
      ("Container", container),
      ("Complete", completeness),
      (
        "File",
        NumberText.exactBytes(image.fileSize.rawValue)
          + ", \(NumberText.bytes(inspection.allocatedBytes)) on disk"
      ),
      ("Stream", "at \(image.streamOffset)"),
      ("Machine type", configuration?.machineType ?? Self.unknown),
      ("Page size", inspection.pageSize.map { "\($0)" } ?? Self.unknown),
      ("Capabilities", configuration.map { Self.list($0.capabilities) } ?? Self.unknown),
    ]
    if let saved = image.facts { facts += Self.text(of: saved) }
    if let uuid = configuration?.uuid { facts.append(("UUID", UUIDText.format(uuid))) }
    facts += [
      ("RAM", ram)
    ]
    if !image.blocks.isEmpty {
      facts += [("Layout", image.slots?.rawValue ?? Self.unknown), ("Huge pages", hugePages)]
    }
    facts += [
      ("Run state", inspection.runState ?? Self.unknown),
      ("Device state", deviceState),
      ("Sections", "\(image.sections.count)"),
    ]
    if let areas { facts.append(("Areas", areas)) }
    return facts
  }

  /// What stands behind the stream; `nil` where nothing does.
  private var areas: String? {
    let known = image.areas.headers.map { header in
      let length = NumberText.bytes(header.range.byteCount.rawValue)
      return switch header.kind {
      case .devices:
        "device states (\(NumberText.count(image.deviceArea?.devices.count ?? 0, "device")), "
          + "\(NumberText.bytes((image.deviceArea?.byteCount ?? .zero).rawValue)))"
      case .facts: "facts (\(length))"
      case .sums: "checksums (\(length))"
      default: "\(header.kind) (unknown, \(length))"
      }
    }.joined(separator: ", ")
    switch image.areas {
    case .none: return nil
    case .whole(let headers, _):
      return "\(known) at \(headers.first?.range.lowerBound ?? .zero)"
    case .damaged: return known.isEmpty ? "damaged, see below" : "damaged, see below; \(known)"
    }
  }

  /// What the image says that it is of.
  private static func text(of facts: ImageFacts) -> [(String, String)] {
    var lines: [(String, String)] = []
    let moment = facts.time.map { NumberText.moment($0) }
    let saved = [moment, facts.host.map { "on \($0)" }, facts.qemuVersion.map { "QEMU \($0)" }]
    let words = saved.compactMap { $0 }
    if !words.isEmpty { lines.append(("Saved", words.joined(separator: ", "))) }
    if let name = facts.name { lines.append(("Name", name)) }
    if let line = try? QEMUCommandLine(parsing: facts.commandLine) {
      let words = ["cpu", "smp", "numa"].flatMap { option in
        line.values(of: option).map { "-\(option) \($0)" }
      }
      if !words.isEmpty { lines.append(("Started with", words.joined(separator: " "))) }
    }
    for device in facts.memoryDevices {
      let node = device.node.map { ", node \($0)" } ?? ""
      lines.append(
        (
          "Memory device",
          "\(device.backend) (\(device.kind)) at 0x\(String(device.address, radix: 16))\(node)"
        ))
    }
    for disk in facts.disks {
      let size = disk.guestByteCount.map { ", \(NumberText.bytes($0))" } ?? ""
      let written = disk.state.map { state in
        ", written \(NumberText.moment(state.modifiedSeconds))"
      }
      lines.append(
        ("Disk", "\(disk.name): \(disk.file) (\(disk.format)\(size)\(written ?? ""))"))
    }
    return lines
  }

  private static let unknown = "unknown"

  private var container: String {
    switch image.container {
    case .qemu: "none (QEMU's own file)"
    case .libvirt(let libvirt): Self.text(of: libvirt.header)
    case .damagedLibvirt(let header?): Self.text(of: header)
    case .damagedLibvirt(nil): "libvirt, whose header cannot be read"
    }
  }

  private static func text(of header: LibvirtHeader) -> String {
    "libvirt, version \(header.version), \(header.byteOrder.rawValue)-endian, payload \"\(header.format)\""
  }

  private var completeness: String {
    guard !image.isComplete else { return "yes" }
    return "no (\(NumberText.count(image.problems.count, "problem")), see below)"
  }

  private var ram: String {
    guard let total = image.ramTotal else { return Self.unknown }
    let blocks = image.blocks
    var text =
      "\(NumberText.exactBytes(total.rawValue)) in \(NumberText.count(blocks.count, "block"))"
    let present = blocks.reduce(UInt64(0)) { $0 + ($1.presentBytes ?? 0) }
    text += ", \(NumberText.bytes(present)) present"
    return text
  }

  private var hugePages: String {
    let obstacles = inspection.hugePageObstacles
    guard !obstacles.isEmpty else { return "possible for VMs that run on the image" }
    return (obstacles.allSatisfy(\.isPartial) ? "possible in parts. " : "not possible. ")
      + obstacles.map(\.description).joined(separator: " ")
  }

  private var deviceState: String {
    guard let tail = image.tail else { return Self.unknown }
    let devices = image.sections.count { $0.type == .full }
    let description =
      image.description.map { "JSON description of \(NumberText.bytes(UInt64($0.text.count)))" }
      ?? "no JSON description"
    return
      "\(NumberText.count(devices, "device")) in \(NumberText.exactBytes(tail.byteCount.rawValue)) at "
      + "\(tail.lowerBound), \(description)"
  }

  private var libvirtFacts: [(String, String)] {
    guard case .libvirt(let libvirt) = image.container, let domain = inspection.domain else {
      return []
    }
    let machine = [domain.type, domain.architecture, domain.machine].compactMap { $0 }
    return [
      ("Domain", domain.name ?? Self.unknown),
      ("  UUID", domain.uuid ?? Self.unknown),
      ("  memory", domain.memoryBytes.map { NumberText.exactBytes($0) } ?? Self.unknown),
      ("  vCPUs", domain.vcpus.map { "\($0)" } ?? Self.unknown),
      ("  machine", machine.isEmpty ? Self.unknown : machine.joined(separator: ", ")),
      ("  was running", libvirt.header.wasRunning ? "yes" : "no"),
      ("  CPU cookie", libvirt.cookie == nil ? "none" : "present"),
      (
        "  data area",
        "\(NumberText.exactBytes(UInt64(libvirt.header.dataLength))), XML of "
          + "\(NumberText.bytes(UInt64(libvirt.xml.utf8.count)))"
      ),
    ]
  }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "none" : names.joined(separator: ", ")
  }
}

extension SummaryText {
  private func writeBlocks() {
    var table = TextTable([
      .text("RAMBlock"), .number("Used length"), .number("Bitmap at"), .number("Pages at"),
      .number("Pages"), .number("Present"), .number("Bytes"), .number("On disk"), .number("Stale"),
    ])
    for (block, slots) in zip(image.blocks, inspection.slots) {
      let name = block.idstr
      let (length, pages) = (block.usedLength.rawValue, block.pageCount)
      guard let bitmap = block.layout.bitmap, let region = block.layout.pages else {
        table.add([
          name, NumberText.bytes(length), "not in the file", "-", "\(pages)", "-", "-", "-", "-",
        ])
        continue
      }
      table.add([
        name, NumberText.bytes(length), "\(bitmap.lowerBound)", "\(region.lowerBound)", "\(pages)",
        block.pagesPresent.map { "\($0)" } ?? "?",
        block.presentBytes.map { NumberText.bytes($0) } ?? "?",
        slots.allocatedBytes.map { NumberText.bytes($0) } ?? "?",
        slots.pagesStale.map { "\($0)" } ?? "?",
      ])
    }
    table.write(to: output)
  }
}

extension ImageBlock {
  /// Bytes of the pages that are present.
  var presentBytes: UInt64? {
    pagesPresent.map { UInt64(block.pageSize.bytes(inPages: $0)) }
  }
}

extension Inspection {
  /// The page size, from wherever it is known.
  var pageSize: PageSize? {
    image.prologue?.configuration.targetPageSize ?? image.blocks.first?.block.pageSize
      ?? image.description?.pageSize
  }
}

extension String {
  /// The text with spaces behind it up to a width of at least `width`.
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}

/// The table of all sections.
enum SectionsText {
  static func write(_ sections: [ImageSection], to output: (String) -> Void) {
    var table = TextTable([
      .text("Type"), .number("Id"), .text("Idstr"), .number("Instance"), .number("Version"),
      .number("Offset"), .number("Length"),
    ])
    for section in sections {
      let identity = section.identity
      table.add([
        section.type.name, section.id.map { "\($0)" } ?? "",
        identity?.idstr ?? section.command?.code.name ?? "",
        identity.map { "\($0.instanceID)" } ?? "",
        identity.map { "\($0.version)" } ?? "", "\(section.offset)", "\(section.byteCount)",
      ])
    }
    table.write(to: output)
  }
}

extension ImageRemark {
  /// The remark as a sentence.
  var sentence: String {
    switch self {
    case .strayBits(let idstr, let count):
      "The bitmap of RAMBlock \"\(idstr)\" has \(NumberText.count(count, "bit")) set past the last page; readers "
        + "ignore \(count == 1 ? "it" : "them")."
    case .bytesAfterEnd(let count):
      "\(NumberText.exactBytes(count.rawValue)) follow the end of the stream; readers ignore them."
    case .unfinishedAreas(let offset):
      "Checksums or other areas at \(offset) are incomplete: their writer was interrupted; readers ignore them."
    case .noDescription:
      "There is no JSON description of the device state, so devices cannot be decoded; QEMU loads the image nevertheless."
    case .noFooters:
      "Sections have no footers."
    case .libvirtFormat(let format):
      "libvirt's header calls the payload \(format), but it is a mapped-ram stream; libvirt will not restore it."
    }
  }
}

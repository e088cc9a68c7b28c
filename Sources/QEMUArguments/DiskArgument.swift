import MappedRAMFormat

/// A disk that a command line gives to the VM, which may write to it.
package struct DiskArgument: Equatable, Sendable {
  /// Which of the command line's arguments defines it.
  package var index: Int
  /// What the user calls it: its id or node name, or else the option.
  package var name: String
  /// The file, as QEMU would open it.
  package var file: String
  /// What is in the file; `nil` where QEMU is to find that out.
  package var format: DiskFormat?
  /// Which property has the file; `nil` for an option that is a file's name.
  var fileKey: String?
  /// The node with the file, where that is another option.
  var fileNode: FileNode?

  struct FileNode: Equatable, Sendable {
    /// Which of the command line's arguments defines it.
    var index: Int
    /// What was said of it.
    var entries: [QEMUProperties.Entry]
  }
}

/// What is in a disk's file, as far as an overlay of it can be made here.
package enum DiskFormat: String, Sendable {
  case raw, qcow2
}

extension QEMUCommandLine {
  /// The disks that the VM may write to, in their order: of `-drive`, `-blockdev`, and options that are a file's name.
  ///
  /// Not those that are read-only, and not those whose writes QEMU throws away itself (`snapshot=on`).
  ///
  /// - Throws: `unreadable`; `cannotClone` for one of which no overlay can stand in its place.
  package func writableDisks() throws(LaunchRefusal) -> [DiskArgument] {
    let nodes = try blockNodes()
    var disks: [DiskArgument] = []
    for (index, argument) in arguments.enumerated() {
      switch argument {
      case .word(let file): disks.append(try Self.disk(file, index, "the disk \(file)"))
      case .option(let option):
        guard let value = option.value else { continue }
        switch option.name {
        case "hda", "hdb", "hdc", "hdd", "sd", "mtdblock", "pflash", "fda", "fdb":
          if !has("snapshot") {
            disks.append(try Self.disk(value, index, "-\(option.name) \(value)"))
          }
        case "drive":
          if !has("snapshot"), let disk = try Self.drive(value, index) { disks.append(disk) }
        case "blockdev":
          if let disk = try nodes.first(where: { $0.index == index })?.disk(among: nodes) {
            disks.append(disk)
          }
        case "readconfig": throw .cannotClone(option: "-readconfig \(value)", .unseen)
        default: continue
        }
      }
    }
    return disks
  }

  /// Puts the qcow2 image at `overlay` in the place of `disk`.
  package mutating func replace(_ disk: DiskArgument, by overlay: String) {
    guard case .option(var option) = arguments[disk.index] else {
      arguments[disk.index] = .word(overlay)
      return
    }
    defer { arguments[disk.index] = .option(option) }
    guard let fileKey = disk.fileKey else {
      option.value = overlay
      return
    }
    let isNode = option.name == "blockdev"
    guard
      var properties = option.value.flatMap({ QEMUProperties($0, impliedKey: "driver") })?.dotted
    else { preconditionFailure("it was read before") }
    let driverKey =
      isNode || properties["driver"] != nil && properties["format"] == nil ? "driver" : "format"
    properties.entries.removeAll {
      [fileKey, driverKey, "file", "file.driver"].contains($0.key)
    }
    var more = (disk.fileNode?.entries ?? []).filter {
      !["node-name", "driver", "filename"].contains($0.key)
    }
    if fileKey == "filename" {
      // What was said of the file as a disk is said of the overlay's file.
      more = properties.entries.filter { !$0.isOfAnyNode }
      properties.entries.removeAll { !$0.isOfAnyNode }
    }
    properties.entries += [QEMUProperties.Entry(key: driverKey, value: .text("qcow2"))]
    if isNode {
      properties.entries += [QEMUProperties.Entry(key: "file.driver", value: .text("file"))]
      properties.entries += more.map {
        QEMUProperties.Entry(key: "file.\($0.key)", value: $0.value)
      }
    }
    properties.entries += [
      QEMUProperties.Entry(key: isNode ? "file.filename" : fileKey, value: .text(overlay))
    ]
    option.value = properties.nested.text
    if let index = disk.fileNode?.index { makeReadOnly(index) }
  }

  /// Has QEMU open the file of a node that nothing stands on any more for reading alone.
  private mutating func makeReadOnly(_ index: Int) {
    guard case .option(var option) = arguments[index],
      var properties = option.value.flatMap({ QEMUProperties($0, impliedKey: "driver") })
    else { return }
    properties.entries.removeAll { ["read-only", "auto-read-only"].contains($0.key) }
    properties.entries.append(QEMUProperties.Entry(key: "read-only", value: .flag))
    if !properties.isJSON { properties.entries[properties.entries.count - 1].value = .text("on") }
    option.value = properties.text
    arguments[index] = .option(option)
  }

  /// A disk that is given by its file's name alone.
  private static func disk(
    _ file: String, _ index: Int, _ option: String
  ) throws(LaunchRefusal) -> DiskArgument {
    DiskArgument(index: index, name: "disk\(index)", file: try local(file, option))
  }

  /// The disk of a `-drive`; `nil` where there is none that the VM writes to.
  private static func drive(
    _ value: String, _ index: Int
  ) throws(LaunchRefusal) -> DiskArgument? {
    let option = "-drive \(value)"
    guard let properties = QEMUProperties(value, impliedKey: "file")?.dotted else {
      throw .unreadable(option: "-drive", value: value)
    }
    guard properties["snapshot"] != "on", properties["media"] != "cdrom",
      !properties.isReadOnly,
      let fileKey = ["file", "file.filename"].first(where: { properties[$0] != nil }),
      let file = properties[fileKey]
    else { return nil }
    let format = properties["format"] ?? properties["driver"]
    return DiskArgument(
      index: index, name: properties["id"] ?? "disk\(index)", file: try local(file, option),
      format: try properties.overlaid(format, option), fileKey: fileKey)
  }

  /// The name of a local file.
  ///
  /// A colon before the first slash ends the name of a protocol (source: qemu-system(1), "Device URL syntax").
  fileprivate static func local(_ file: String, _ option: String) throws(LaunchRefusal) -> String {
    let bytes = file.utf8
    let start = bytes.firstIndex(of: UInt8(ascii: "/")) ?? bytes.endIndex
    guard !bytes[..<start].contains(UInt8(ascii: ":")) else {
      throw .cannotClone(option: option, .noFile)
    }
    return file
  }

  /// All nodes of `-blockdev`.
  private func blockNodes() throws(LaunchRefusal) -> [BlockNode] {
    var nodes: [BlockNode] = []
    for (index, argument) in arguments.enumerated() {
      guard case .option(let option) = argument, option.name == "blockdev",
        let value = option.value
      else { continue }
      guard let properties = QEMUProperties(value, impliedKey: "driver")?.dotted else {
        throw .unreadable(option: "-blockdev", value: value)
      }
      nodes.append(BlockNode(index: index, value: value, properties: properties))
    }
    return nodes
  }
}

/// A node that a `-blockdev` defines.
private struct BlockNode {
  var index: Int
  var value: String
  /// With the keys of inner objects behind a dot.
  var properties: QEMUProperties

  private var name: String? { properties["node-name"] }
  private var option: String { "-blockdev \(value)" }
  private static let files = ["file", "host_device"]

  /// The node as a disk; `nil` for one that another node stands on, and one that nobody writes to.
  func disk(among nodes: [BlockNode]) throws(LaunchRefusal) -> DiskArgument? {
    let isInner = nodes.contains { node in
      node.index != index
        && node.properties.entries.contains {
          $0.key != "node-name" && $0.value == name.map { .text($0) }
        }
    }
    guard !isInner, !properties.isReadOnly, let driver = properties["driver"] else { return nil }
    var disk = DiskArgument(index: index, name: name ?? "disk\(index)", file: "")
    if Self.files.contains(driver), let file = properties["filename"] {
      (disk.file, disk.format, disk.fileKey) = (file, .raw, "filename")
      return disk
    }
    disk.format = try properties.overlaid(driver, option)
    if let file = properties["file.filename"],
      Self.files.contains(properties["file.driver"] ?? "file")
    {
      (disk.file, disk.fileKey) = (file, "file.filename")
      return disk
    }
    guard let child = nodes.first(where: { $0.name != nil && $0.name == properties["file"] }),
      Self.files.contains(child.properties["driver"] ?? ""),
      let file = child.properties["filename"]
    else { throw .cannotClone(option: option, .noFile) }
    (disk.file, disk.fileKey) = (file, "file")
    disk.fileNode = DiskArgument.FileNode(index: child.index, entries: child.properties.entries)
    return disk
  }
}

extension QEMUProperties.Entry {
  /// Whether it can be said of nodes of all drivers (source: QEMU v10.0.2, `qapi/block-core.json`, BlockdevOptions).
  fileprivate var isOfAnyNode: Bool {
    ["node-name", "discard", "detect-zeroes", "read-only", "auto-read-only", "force-share"]
      .contains(key)
      || key.hasPrefix("cache.")
  }
}

extension QEMUProperties {
  fileprivate var isReadOnly: Bool {
    ["read-only", "readonly"].contains { self[$0] == "on" }
  }

  /// The format of a disk of which an overlay is to be made, where what is said of it can be said of the overlay as well.
  fileprivate func overlaid(
    _ format: String?, _ option: String
  ) throws(LaunchRefusal) -> DiskFormat? {
    // Of these the overlay would know nothing.
    let own = entries.map(\.key).first { key in
      ["encrypt", "backing", "data-file"].contains { key == $0 || key.hasPrefix("\($0).") }
        || format == "raw" && ["offset", "size"].contains(key)
    }
    if let own { throw .cannotClone(option: option, .property(own)) }
    guard let format else { return nil }
    guard let known = DiskFormat(rawValue: format) else {
      throw .cannotClone(option: option, .format(format))
    }
    return known
  }

  /// With the members of objects as keys of their own, behind a dot, as in a list.
  var dotted: QEMUProperties {
    func flat(_ entry: Entry) -> [Entry] {
      guard case .json(.object(let members)) = entry.value else { return [entry] }
      return members.flatMap {
        flat(Entry(key: "\(entry.key).\($0.name)", value: Value($0.value)))
      }
    }
    return QEMUProperties(entries.flatMap(flat), isJSON: isJSON)
  }

  /// The reverse, for a JSON object: of names with dots QEMU knows nothing there.
  var nested: QEMUProperties {
    guard isJSON else { return self }
    var found: [Entry] = []
    for entry in entries {
      let parts = entry.key.split(separator: ".", maxSplits: 1)
      guard parts.count == 2 else {
        found.append(entry)
        continue
      }
      let key = String(parts[0])
      let inner = Entry(key: String(parts[1]), value: entry.value)
      if let index = found.firstIndex(where: { $0.key == key }),
        case .json(.object(let members)) = found[index].value
      {
        let all = QEMUProperties(
          members.map { Entry(key: $0.name, value: Value($0.value)) } + [inner], isJSON: true)
        found[index].value = .json(.object(all.nested.members))
      } else {
        let one = QEMUProperties([inner], isJSON: true)
        found.append(Entry(key: key, value: .json(.object(one.nested.members))))
      }
    }
    return QEMUProperties(found, isJSON: true)
  }
}

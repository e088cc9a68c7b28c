import LinuxIO
import LinuxProcesses
public import MappedRAMFormat
import QEMUArguments
import SystemPackage

/// What a VM has otherwise than the one that an image is of, as the image's facts tell. QEMU itself loads the image nevertheless.
public enum Deviation: Equatable, Sendable {
  /// The file of a disk was written to after the moment of the image: what the guest has in memory of its file systems is not what is on
  /// the disk.
  case diskWentOn(
    disk: String, file: String, saved: ImageFacts.FileState, found: ImageFacts.FileState)
  /// The file of a disk is as it was, but below an overlay that has been written to.
  case overlayWentOn(disk: String, overlay: String, file: String)
  /// A disk is as its file's internal snapshot, which was made after the moment of the image.
  case laterSnapshot(disk: String, file: String, snapshot: String)
  /// A disk is of another file, or below an overlay that cannot be looked into: it may be as it was or not.
  case otherDisk(disk: String, saved: String, found: String)
  /// Memory of this backend is at another guest-physical address, or belongs to another NUMA node.
  case memory(saved: ImageFacts.MemoryFacts, found: ImageFacts.MemoryFacts)
  /// QEMU's arguments for this option are others.
  case arguments(option: String, saved: [String], found: [String])

  /// Whether to go on would ruin file systems.
  public var isDangerous: Bool {
    switch self {
    case .diskWentOn, .overlayWentOn: true
    case .laterSnapshot, .otherDisk, .memory, .arguments: false
    }
  }
}

/// Compares the VM that is to take an image with what the image says that it is of.
struct FactsCheck {
  let facts: ImageFacts

  /// Compares the disks.
  func disks(_ disks: [Disk], _ places: DiskPlaces) -> [Deviation] {
    facts.disks.compactMap { known in
      guard let state = known.state,
        // Disks without an id are numbered, in the order of the command line.
        let disk = disks.first(where: { $0.label == known.name })
          ?? disks.first(where: { Self.files(of: $0, places).contains(FilePath(known.file)) })
      else { return nil }
      return deviation(of: disk, from: known, state, places)
    }
  }

  /// Compares a disk with what it was.
  ///
  /// One whose file is the one of the image, or an overlay of it at whatever depth, has to have that as it was, and no contents in the
  /// overlays. A file elsewhere that has its length and its time is a copy.
  private func deviation(
    of disk: Disk, from known: ImageFacts.DiskFacts, _ state: ImageFacts.FileState,
    _ places: DiskPlaces
  ) -> Deviation? {
    let files = Self.files(of: disk, places)
    let states = files.map { path in path.flatMap { ImageFacts.FileState(of: $0) } }
    let saved = ImageFacts.FileState(of: FilePath(known.file))
    let other = Deviation.otherDisk(
      disk: disk.label, saved: known.file, found: places.name(of: disk))
    let place =
      states.indices.first { index in
        files[index]?.string == known.file
          || [state, saved].compactMap(\.self)
            .contains { states[index]?.isSameFile(as: $0) ?? false }
      } ?? states.indices.first { states[$0].map { state.isUnchanged(in: $0) } ?? false }
    guard let place else { return other }
    // It is there, and may not be looked at.
    guard let file = files[place], let found = states[place] else { return other }
    if !state.isUnchanged(in: found) {
      // The list of snapshots has whole seconds.
      guard
        // What looks like one in a raw file is the guest's.
        known.format == "qcow2",
        let snapshot = QCOW2Tables(of: file)?.snapshot(notBefore: state.modifiedSeconds)
      else {
        return .diskWentOn(disk: disk.label, file: file.string, saved: state, found: found)
      }
      if facts.time.map({ snapshot.seconds > $0 }) ?? true {
        return .laterSnapshot(disk: disk.label, file: file.string, snapshot: snapshot.name)
      }
    }
    for overlay in files[..<place] {
      // QEMU's own for -snapshot, made as it started.
      if overlay == files[0], places.isUnlinked(disk) { continue }
      guard let overlay, let tables = QCOW2Tables(of: overlay) else { return other }
      if tables.hasContents {
        return .overlayWentOn(
          disk: disk.label, overlay: overlay.string, file: file.string)
      }
    }
    return nil
  }

  /// The disk's file and those that it stands on, the uppermost first; `nil` for one that has no path.
  private static func files(of disk: Disk, _ places: DiskPlaces) -> [FilePath?] {
    (disk.medium?.bottomFiles ?? []).map { name in
      name.flatMap { places.absoluteName(of: $0) }.map { FilePath($0) }
    }
  }

  /// Compares memory in slots and on buses. What is missing is told by the blocks.
  func memory(_ devices: [MemoryDevice]) -> [Deviation] {
    let found = devices.compactMap(\.facts)
    return facts.memoryDevices.compactMap { saved in
      found.first { $0.backend == saved.backend && $0 != saved }.map {
        .memory(saved: saved, found: $0)
      }
    }
  }

  /// Options that decide what the guest sees of processors and memory, and of which the image's stream has nothing.
  private static let options = ["cpu", "smp", "numa"]

  /// Compares QEMU's command lines, of which nothing is said where one is not known.
  func arguments(_ words: [String]) -> [Deviation] {
    guard !facts.commandLine.isEmpty, !words.isEmpty,
      let saved = try? QEMUCommandLine(parsing: facts.commandLine),
      let found = try? QEMUCommandLine(parsing: words)
    else { return [] }
    return Self.options.compactMap { option in
      let (before, now) = (saved.values(of: option), found.values(of: option))
      return before == now ? nil : .arguments(option: option, saved: before, found: now)
    }
  }
}

extension Deviation: CustomStringConvertible {
  /// What differs, as a sentence or two.
  public var description: String {
    switch self {
    case .diskWentOn(let disk, let file, let saved, let found):
      "The disk \(disk) (\(file)) was written to after the moment of the image"
        + (saved.byteCount == found.byteCount
          ? "" : ", and has \(found.byteCount) bytes, not \(saved.byteCount)")
        + (saved.inode == nil || saved.isSameFile(as: found) ? "" : ", or replaced by another file")
        + ". \(Self.ruin)"
    case .overlayWentOn(let disk, let overlay, let file):
      "The disk \(disk) is \(overlay), an overlay of \(file), the file of the image: the overlay has been written to. \(Self.ruin)"
    case .laterSnapshot(let disk, let file, let snapshot):
      "The disk \(disk) (\(file)) is as its internal snapshot \"\(snapshot)\", which was made after the moment of the image: whether the VM "
        + "ran in between cannot be told."
    case .otherDisk(let disk, let saved, let found):
      "The image belongs to \(saved) as the disk \(disk), and this VM has \(found): whether that is as it was then cannot be told."
    case .memory(let saved, let found):
      "The memory \"\(saved.backend)\" (\(found.kind)) was at the guest's address \(Self.place(saved)), and is at \(Self.place(found)): "
        + "the guest may not survive the difference. Give the devices in the order of the saved VM, or addr=."
    case .arguments(let option, let saved, let found):
      "The saved VM was started with \(Self.words(option, saved)), this one with \(Self.words(option, found)): "
        + "the guest may not survive the difference."
    }
  }

  private static let ruin =
    "The guest has its file systems in memory as they were then, and would ruin them."

  private static func place(_ memory: ImageFacts.MemoryFacts) -> String {
    "0x\(String(memory.address, radix: 16))" + (memory.node.map { " in node \($0)" } ?? "")
  }

  private static func words(_ option: String, _ values: [String]) -> String {
    values.isEmpty ? "no -\(option)" : values.map { "-\(option) \($0)" }.joined(separator: " ")
  }
}

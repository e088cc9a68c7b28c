import LinuxIO
import MappedRAMFormat
import QEMUArguments
public import SystemPackage

/// A disk of a clone: an overlay of the disk that others use as well.
public struct DiskClone: Equatable, Sendable {
  /// The disk, as QEMU's arguments name it.
  public var name: String
  /// What the clones have in common, which none of them writes to.
  public var file: FilePath
  /// What this clone writes to.
  public var overlay: FilePath
}

/// Overlays for all disks that a VM writes to, made in one directory for it alone.
struct DiskClones {
  private(set) var disks: [DiskClone] = []
  private let directory: FilePath
  private let hasMadeDirectory: Bool

  /// Makes an overlay for each writable disk of `line`, and puts it in the disk's place there.
  ///
  /// - Parameter directory: where the overlays go; it is made if it is not there.
  /// - Throws: `LaunchError.refused` for a disk of which none can be made; `overlayExists`; `system`. No overlay is left then.
  init(for line: inout QEMUCommandLine, in directory: FilePath) throws(LaunchError) {
    let directory = directory.absolute
    let disks: [DiskArgument]
    do throws(LaunchRefusal) {
      disks = try line.writableDisks()
    } catch {
      throw .refused(error)
    }
    let planned = try disks.map { (disk) throws(LaunchError) in try Self.overlay(of: disk) }
    self.directory = directory
    hasMadeDirectory = try LaunchError.system { () throws(SystemCallError) in
      try Directory.make(directory)
    }
    do throws(LaunchError) {
      for (disk, overlay) in zip(disks, planned) {
        let path = directory.appending(Self.fileName(disk.name, besides: self.disks))
        try Self.make(overlay, at: path)
        self.disks.append(
          DiskClone(name: disk.name, file: FilePath(overlay.backing), overlay: path))
        line.replace(disk, by: path.string)
      }
    } catch {
      remove()
      throw error
    }
  }

  /// Takes back what was made, for a VM that does not come to be.
  func remove() {
    for disk in disks { File.remove(disk.overlay) }
    if hasMadeDirectory { Directory.removeIfEmpty(directory) }
  }

  /// What is to be made over a disk.
  ///
  /// The format is never guessed but for a qcow2 image, which says so itself: a guest that may write to a raw disk can make it look like
  /// anything.
  private static func overlay(of disk: DiskArgument) throws(LaunchError) -> QCOW2Overlay {
    let path = FilePath(disk.file).absolute
    func refusal(_ obstacle: LaunchRefusal.CloneObstacle) -> LaunchError {
      .refused(.cannotClone(option: "disk \(disk.name)", obstacle))
    }
    let (size, head) = try LaunchError.system { () throws(SystemCallError) in
      let file = try File.open(path, access: .read, directIO: .off)
      let size = try file.size()
      return (
        size, try file.readBytes(at: 0, count: Int(min(size, UInt64(QCOW2Header.byteCount))))
      )
    }
    let header = QCOW2Header(head)
    switch (disk.format, header) {
    case (.raw, _): break
    case (.qcow2, let header?), (nil, let header?):
      if header.isEncrypted { throw refusal(.encrypted(file: path.string)) }
    case (.qcow2, nil), (nil, nil): throw refusal(.unknownFormat(file: path.string))
    }
    let isRaw = disk.format == .raw
    let byteCount = isRaw ? size : header?.byteCount ?? 0
    guard path.string.utf8.count <= QCOW2Overlay.longestName,
      byteCount <= ImageLimits.ramBytes.rawValue
    else { throw refusal(.unknownFormat(file: path.string)) }
    return QCOW2Overlay(
      // QEMU shows a guest whole sectors.
      byteCount: (byteCount + 511) & ~511, backing: path.string, format: isRaw ? "raw" : "qcow2")
  }

  /// A name for the overlay of the disk `name` that none of the others has.
  private static func fileName(_ name: String, besides others: [DiskClone]) -> String {
    let safe = String(name.map { $0.isLetter || $0.isNumber || "-_.".contains($0) ? $0 : "-" })
    let taken = others.map { $0.overlay.lastComponent?.string }
    var found = "\(safe).qcow2"
    var number = 2
    while taken.contains(found) {
      found = "\(safe)-\(number).qcow2"
      number += 1
    }
    return found
  }

  /// Makes the file, which is this user's alone: it gets what the guest writes.
  private static func make(_ overlay: QCOW2Overlay, at path: FilePath) throws(LaunchError) {
    do throws(SystemCallError) {
      try File.makeEmpty(at: path, owner: .this)
    } catch {
      if error.errno == .fileExists { throw .overlayExists(path: path.string) }
      throw .system(error)
    }
    do throws(SystemCallError) {
      let file = try File.open(path, access: .readWrite, directIO: .off)
      let (parts, length) = overlay.parts
      try file.truncate(to: length)
      for part in parts { try file.write(part.bytes, at: part.offset) }
    } catch {
      File.remove(path)
      throw .system(error)
    }
  }
}

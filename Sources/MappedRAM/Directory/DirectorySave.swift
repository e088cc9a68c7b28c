public import LinuxIO
import MappedRAMFormat
public import SystemPackage

/// Plans an image from a directory that `DirectoryRestore` made, or from files that somebody else did.
public enum DirectorySave {
  /// The plan of the image that `directory`'s manifest describes.
  ///
  /// - Throws: `ImageError`: where a file cannot be read, the manifest is not right, or a file has the wrong size.
  public static func plan(
    from directory: FilePath, directIO: DirectIOPolicy = .auto
  ) throws(ImageError) -> SavePlan {
    let manifest = try DirectoryManifest(readingFrom: directory)
    let path = directory.appending(DirectoryManifest.fileName)
    var blocks: [SavePlan.Block] = []
    for entry in manifest.blocks {
      let block = try entry.ramBlock(at: path)
      let pages = try entry.file.map { (name) throws(ImageError) in
        try FilePages(reading: directory.appending(name), directIO: directIO)
      }
      blocks.append(
        SavePlan.Block(
          block, pages: pages, presentZeros: try entry.presentZeros(of: block, at: path)))
    }
    let preamble = try manifest.preambleFile.map { (name) throws(ImageError) in
      try contents(of: directory.appending(name))
    }
    let prefix = try manifest.prefixFile.map { (name) throws(ImageError) in
      try whole(directory.appending(name))
    }
    let devices = try (manifest.devices ?? []).map { (device) throws(ImageError) in
      try device.save(from: try openForReading(directory.appending(device.file)), at: path)
    }
    return try SavePlan(
      prologue: try manifest.prologue(preamble: preamble ?? [], at: path), blocks: blocks,
      tail: [try whole(directory.appending(manifest.vmstateFile))], prefix: prefix,
      streamOffset: FileOffset(manifest.streamOffset), keepsHoles: true, for: path
    ).with(devices: devices)
  }

  /// All of a file.
  private static func whole(_ path: FilePath) throws(ImageError) -> StreamBytes {
    let file = try openForReading(path)
    return .file(file, 0..<(try calling { () throws(SystemCallError) in try file.size() }))
  }

  /// The bytes of a preamble.
  private static func contents(of path: FilePath) throws(ImageError) -> [UInt8] {
    let file = try openForReading(path)
    let size = try calling { () throws(SystemCallError) in try file.size() }
    let limit = ImageLimits.preambleBytes.rawValue
    guard size <= limit else { throw .plan(.fileTooLong(path, found: size, limit: limit)) }
    return try calling { () throws(SystemCallError) in
      try file.readBytes(at: 0, count: Int(size))
    }
  }
}

/// Opens a file that is read through the page cache.
func openForReading(_ path: FilePath) throws(ImageError) -> File {
  try opening { () throws(FileError) in try File.open(path, access: .read, directIO: .off) }
}

extension FilePages {
  /// The whole of the file at `path`, to be read from.
  ///
  /// - Throws: `ImageError.file`, `.system`.
  public init(reading path: FilePath, directIO: DirectIOPolicy = .auto) throws(ImageError) {
    let file = try opening { () throws(FileError) in
      try File.open(path, access: .read, directIO: directIO)
    }
    self = try calling { () throws(SystemCallError) in try FilePages(reading: file) }
  }
}

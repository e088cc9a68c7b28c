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
    let preamble = try contents(
      of: manifest.preambleFile, in: directory, limit: ImageLimits.preambleBytes)
    let prefix = try contents(
      of: manifest.prefixFile, in: directory, limit: ByteCount(manifest.streamOffset))
    let vmstate = try openForReading(directory.appending(manifest.vmstateFile))
    let size = try calling { () throws(SystemCallError) in try vmstate.size() }
    return try SavePlan(
      prologue: try manifest.prologue(preamble: preamble, at: path), blocks: blocks,
      tail: [.file(vmstate, 0..<size)], prefix: prefix,
      streamOffset: FileOffset(manifest.streamOffset), for: path)
  }

  private static func contents(
    of name: String?, in directory: FilePath, limit: ByteCount
  ) throws(ImageError) -> [UInt8] {
    guard let name else { return [] }
    let path = directory.appending(name)
    let file = try openForReading(path)
    let size = try calling { () throws(SystemCallError) in try file.size() }
    guard size <= limit.rawValue else {
      throw .plan(.fileTooLong(path, found: size, limit: limit.rawValue))
    }
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

import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import SystemPackage

/// A block of a VM's memory that QEMU has mapped privately from a file: from an image on which the VM runs, as a rule.
///
/// Whoever reads such memory through QEMU's mapping, as QEMU itself does, reads pages that the VM never touched: they come into the page
/// cache, and holes with them. On a file system in memory a hole that is read so is allocated for good, and where there is no room left
/// QEMU gets SIGBUS (tried; "The routes to memory" in the article Capture).
struct ImageMemory: Equatable {
  let idstr: String
  /// As QEMU sees paths.
  let path: String
  /// Where the block begins in it.
  let offset: UInt64
  /// What is known of the file, where this process can look at it.
  let file: Facts?

  /// What is known of the file.
  struct Facts: Equatable {
    /// Whether it is on a file system in memory.
    var isInMemory: Bool
    /// Bytes of the block that are holes in it.
    var holes: UInt64
    /// Bytes that its file system has left; `nil` where that has no limit, as of a memfd.
    var available: UInt64?
  }

  /// Those of `vm` that matter: parts of files, and files in memory with more holes than there is room for.
  ///
  /// A whole file that is mapped privately, as by `-mem-path`, is the VM's own, and what it takes was meant for it.
  static func all(
    of vm: RunningVM, _ access: Result<GuestMemory, CaptureObstacle>
  ) -> [ImageMemory] {
    let found: [ImageMemory] =
      switch access {
      case .success(let memory): memory.places.compactMap(ImageMemory.init)
      case .failure: vm.blocks.compactMap { ImageMemory($0, vm.backend(of: $0)) }
      }
    return found.filter { $0.offset > 0 || $0.isDangerous }
  }

  /// Whether reading it could end the VM.
  var isDangerous: Bool { obstacle.isDangerous }

  /// The reason not to have QEMU read it.
  var obstacle: SaveObstacle {
    guard let file, file.isInMemory, let available = file.available, file.holes > available else {
      return .runsOnImage(idstr: idstr, path: path)
    }
    return .fillsMemory(
      idstr: idstr, path: path, byteCount: file.holes, available: available)
  }
}

extension ImageMemory {
  init(idstr: String, path: String, offset: UInt64, _ file: Facts?) {
    self.idstr = idstr
    self.path = path
    self.offset = offset
    self.file = file
  }

  /// A block of which is known what is behind it.
  private init?(_ place: GuestMemory.Place) {
    // Huge pages are of a file system without holes that could be filled: reading one takes what was reserved for it.
    guard case .privateFile(_, let offset, let path) = place.backing, !place.hasHugePages else {
      return nil
    }
    self.init(
      idstr: place.block.idstr, path: path, offset: offset,
      place.original.flatMap { Facts($0.file, offset, place.block.usedLength.rawValue) })
  }

  /// A block whose process cannot be looked at, by what QEMU says of its backend.
  private init?(_ block: GuestBlock, _ backend: MemoryBackend?) {
    guard let backend, let path = backend.file, !backend.isShared,
      block.pageBytes <= PageMap.pageBytes
    else { return nil }
    // The path is QEMU's: for another process it may be another file, or none.
    let file = try? File.open(FilePath(path), access: .read, directIO: .off)
    self.init(
      idstr: block.idstr, path: path, offset: backend.fileOffset,
      file.flatMap { Facts($0, backend.fileOffset, block.usedLength.rawValue) })
  }
}

extension ImageMemory.Facts {
  /// What is known of a part of `file`.
  fileprivate init?(_ file: File, _ offset: UInt64, _ byteCount: UInt64) {
    do throws(SystemCallError) {
      isInMemory = try file.isInMemory()
      available = file.room
      let (end, overflow) = offset.addingReportingOverflow(byteCount)
      guard !overflow else { return nil }
      var data: UInt64 = 0
      try file.forEachData(in: offset..<end) { data += UInt64($0.count) }
      holes = byteCount - min(data, byteCount)
    } catch {
      return nil
    }
  }
}

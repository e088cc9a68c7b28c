import LinuxIO
package import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// The memory of a VM, as this process can get at it.
package struct GuestMemory: Sendable {
  /// QEMU's process, which has been found to have this memory.
  package let process: ProcessHandle
  /// How each block can be got at, in the order of a stream.
  package let blocks: [BlockMemory]
  /// The number of QEMU's process.
  package var processID: Int32 { process.processID }
  let memory: ProcessMemory
  /// Which pages of QEMU's process there are; `nil` where the kernel does not say.
  let pageMap: PageMap?

  /// How a block's memory can be got at.
  struct Place {
    var block: GuestBlock
    /// Where it is in QEMU's address space.
    var addresses: Range<UInt64>
    var backing: MemoryBacking
    /// Whether QEMU itself may write all of it.
    var isWritable: Bool
    /// The shared file behind it, open for reading.
    var file: SharedFile?
    /// The file that it is mapped from privately, open for reading: what was never written has that file's bytes.
    var original: SharedFile?
    /// Whether its pages are larger than those of the process's page map.
    var hasHugePages: Bool { block.pageBytes > PageMap.pageBytes }
  }

  /// A file that has a block from `offset` on.
  struct SharedFile {
    var file: File
    var offset: UInt64
    /// As /proc/PID/maps has it.
    var path: String
  }

  /// The blocks' places, as `blocks`.
  let places: [Place]

  /// Finds the process behind `vm`, verifies it, and looks whether it lets itself be read.
  ///
  /// - Parameters:
  ///   - processID: the process, where the user has named it; that it has the VM's memory is checked all the same.
  ///   - isForReading: whether files that are mapped privately are opened, which whoever writes has no use for.
  /// - Returns: the memory, or what is in the way.
  static func access(
    to vm: RunningVM, processID: Int32? = nil, isForReading: Bool = true
  ) -> Result<GuestMemory, CaptureObstacle> {
    access(
      to: vm, among: processID.map { [$0] } ?? vm.possibleProcesses, given: processID,
      isForReading: isForReading
    ) {
      processID == nil ? vm.objection(to: $0) : nil
    }
  }

  /// The same, for writing, for a QEMU that `child` is or has started: numbers that it tells itself are not asked for, since it may have them in a PID
  /// namespace of its own.
  static func access(
    to vm: RunningVM, startedBy child: Int32
  ) -> Result<GuestMemory, CaptureObstacle> {
    let found = access(to: vm, among: [child], given: nil, isForReading: false) { _ in nil }
    if case .success = found { return found }
    // Not asked for before: it takes some milliseconds.
    let others = ProcessOwner.descendants(of: child)
    return others.isEmpty
      ? found : access(to: vm, among: others, given: nil, isForReading: false) { _ in nil }
  }

  private static func access(
    to vm: RunningVM, among candidates: [Int32], given processID: Int32?, isForReading: Bool,
    objection: (Int32) -> CaptureObstacle?
  ) -> Result<GuestMemory, CaptureObstacle> {
    var refusal: SystemCallError?
    var stranger: CaptureObstacle?
    let ranges = vm.blocks.compactMap { block in
      // Checked when the table was read: no overflow.
      block.hostAddress.map { $0..<$0 + block.usedLength.rawValue }
    }
    guard ranges.count == vm.blocks.count else { return .failure(.unknownAddresses) }
    for candidate in candidates {
      do throws(SystemCallError) {
        let process = try ProcessHandle(candidate)
        if let objection = objection(candidate) {
          stranger = stranger ?? objection
          continue
        }
        let maps = try MemoryMap.all(of: candidate)
        let places = zip(vm.blocks, ranges).compactMap { block, range in
          MemoryBacking(of: range, in: maps).map { backing in
            let isWritable = maps.allSatisfy { $0.isWritable || !$0.addresses.overlaps(range) }
            return Place(
              block: block, addresses: range, backing: backing, isWritable: isWritable)
          }
        }
        // Addresses are random: the process that has all blocks where QEMU says is QEMU.
        guard places.count == vm.blocks.count else { continue }
        let memory = ProcessMemory(of: candidate)
        if let first = ranges.first { try memory.probe(first.lowerBound) }
        let pageMap = try? PageMap(of: candidate)
        // All of it was the same process's.
        guard !process.hasEnded else { continue }
        return .success(
          GuestMemory(
            places, in: process, of: memory, pageMap: pageMap, isForReading: isForReading))
      } catch {
        refusal = refusal ?? error
      }
    }
    if let refusal, [.notPermitted, .permissionDenied, .noFunction].contains(refusal.errno) {
      return .failure(.notPermitted(refusal))
    }
    return .failure(stranger ?? .unknownProcess(given: processID))
  }

  private init(
    _ places: [Place], in process: ProcessHandle, of memory: ProcessMemory, pageMap: PageMap?,
    isForReading: Bool
  ) {
    let places = places.map { place in
      var place = place
      place.file = Self.open(place, memory.processID, .read)
      if isForReading { place.original = Self.openOriginal(place, memory.processID) }
      return place
    }
    self.places = places
    self.memory = memory
    self.pageMap = pageMap
    self.process = process
    blocks = places.map { place in
      BlockMemory(
        idstr: place.block.idstr, byteCount: place.block.usedLength.rawValue,
        route: place.file.map { .file($0.path) } ?? .process)
    }
  }

  /// The shared file behind a block, opened anew; for writing only where QEMU may write it, since this process may have more rights than
  /// a QEMU that would have it write elsewhere. A file of huge pages for reading alone, as it cannot be written to
  /// (hugetlbfs has no write(2)). To read it leaves its holes alone, while to copy them from the process would take a huge page
  /// for each (tried: QEMU 10.0.2, a memfd without prealloc, Linux 6.18).
  private static func open(
    _ place: Place, _ processID: Int32, _ access: File.Access
  ) -> SharedFile? {
    guard case .sharedFile(let inode, let offset, let path) = place.backing,
      access == .read || place.isWritable && !place.hasHugePages,
      let file = try? ProcessFiles.open(inode, of: processID, access: access)
    else { return nil }
    return SharedFile(file: file, offset: offset, path: path)
  }

  /// The file behind a private mapping, opened anew. Of huge pages it is not known which the process has copied.
  private static func openOriginal(_ place: Place, _ processID: Int32) -> SharedFile? {
    guard case .privateFile(let inode, let offset, let path) = place.backing,
      !place.hasHugePages,
      let file = (try? ProcessFiles.open(inode, of: processID, access: .read, directIO: .auto))
        ?? (try? ProcessFiles.open(inode, at: FilePath(path), directIO: .auto))
    else { return nil }
    return SharedFile(file: file, offset: offset, path: path)
  }

  /// The contents of each block, to be saved.
  func planned(pageSize: PageSize) throws(ImageError) -> [SavePlan.Block] {
    var planned: [SavePlan.Block] = []
    for place in places {
      let block = place.block
      do throws(FormatError) {
        planned.append(
          SavePlan.Block(
            try RAMBlock(idstr: block.idstr, usedLength: block.usedLength, pageSize: pageSize),
            pages: pages(of: place)))
      } catch {
        throw .format(error, in: FilePath("/proc/\(processID)/mem"))
      }
    }
    return planned
  }

  private func pages(of place: Place) -> any PageSource {
    if let pages = originalPages(of: place) { return pages }
    guard let pages = filePages(of: place, .read) else { return processPages(of: place) }
    // The holes of a file of huge pages are not known, and would be filled.
    guard !place.hasHugePages, let mapped = try? MappedPages(pages) else {
      return pages
    }
    return mapped
  }

  /// The contents of a block in the shared file behind it; `nil` where there is none that can be used.
  func filePages(of place: Place, _ access: File.Access) -> FilePages? {
    let found = access == .read ? place.file : Self.open(place, processID, access)
    guard let found else { return nil }
    return try? FilePages(
      found.file, startingAt: found.offset, byteCount: place.block.usedLength.rawValue)
  }

  /// The contents of a block that is mapped privately from a file: the process's own pages, and the file for the rest; `nil` where it is
  /// not, or that cannot be known.
  func originalPages(of place: Place) -> PrivateFilePages? {
    guard let original = place.original, let pageMap,
      let file = try? FilePages(
        original.file, startingAt: original.offset, byteCount: place.block.usedLength.rawValue)
    else { return nil }
    return try? PrivateFilePages(
      memory, at: place.addresses.lowerBound, pageMap: pageMap, file: file)
  }

  /// The contents of a block, copied from and to the process.
  func processPages(of place: Place) -> ProcessPages {
    ProcessPages(
      memory, at: place.addresses.lowerBound, byteCount: place.block.usedLength.rawValue,
      pageMap: place.backing == .anonymous ? pageMap : nil)
  }

  /// What stands behind the block `idstr`.
  func backing(of idstr: String) -> MemoryBacking? {
    places.first { $0.block.idstr == idstr }?.backing
  }
}

/// How the memory of a block was got at.
public struct BlockMemory: Equatable, Sendable {
  /// The block's name.
  public var idstr: String
  /// Its used length.
  public var byteCount: UInt64
  /// The way.
  public var route: Route

  /// The ways to a VM's memory.
  public enum Route: Equatable, Sendable {
    /// Calls that copy from the process: its memory is private, or of huge pages that are to be written. What it has mapped privately from
    /// a file and never written is read from the file.
    case process
    /// The shared file that QEMU has it in, by its path in /proc/PID/maps.
    case file(String)
  }
}

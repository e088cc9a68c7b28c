import LinuxIO
import LinuxProcesses
import MappedRAM

extension GuestMemory {
  /// Where the contents of the blocks `names` go to.
  ///
  /// A VM that waits has touched few of its pages. These are cleared, so that only pages which are not zero need to be
  /// written. Where more is there, as with `prealloc=on` or in a file that was used before, all pages are
  /// written.
  func targets(for names: Set<String>) throws(VMError) -> [String: any PageTarget] {
    var targets: [String: any PageTarget] = [:]
    do throws(SystemCallError) {
      for place in places where names.contains(place.block.idstr) {
        targets[place.block.idstr] = try target(place)
      }
    } catch {
      throw .system(error)
    }
    return targets
  }

  /// Puts zeros over `bytes` of the block `idstr`.
  func clear(_ bytes: Range<UInt64>, of idstr: String) throws(VMError) {
    guard let place = places.first(where: { $0.block.idstr == idstr }) else { return }
    do throws(SystemCallError) {
      try clear(bytes, of: processPages(of: place))
    } catch {
      throw .system(error)
    }
  }

  /// Clears the memory that comes from files with something in them, for a loader that leaves absent pages as they are:
  /// QEMU's own does (QEMU 10.0.2, tried).
  func clearOldContents() throws(VMError) {
    for place in places {
      guard let (inode, start) = place.oldFile,
        let file = try? ProcessFiles.open(inode, of: processID, access: .read)
      else { continue }
      let pages = processPages(of: place)
      var rest = start..<(start + pages.byteCount)
      do throws(SystemCallError) {
        while let run = try file.nextData(in: rest) {
          try clear(run.lowerBound - start..<run.upperBound - start, of: pages)
          rest = run.upperBound..<rest.upperBound
        }
      } catch {
        throw .system(error)
      }
    }
  }

  private func target(_ place: Place) throws(SystemCallError) -> any PageTarget {
    if var pages = filePages(of: place, .readWrite) {
      let (file, start) = (pages.file, pages.start)
      pages.startsZero = try cleared(pages) { (range) throws(SystemCallError) in
        // One look for the end of data in all; `FilePages` itself looks for its begin alone.
        let place = (start + range.lowerBound)..<(start + range.upperBound)
        return try file.nextData(in: place).map { $0.lowerBound - start..<$0.upperBound - start }
      }
      return pages
    }
    var pages = processPages(of: place)
    pages.isCleared = try cleared(pages, pages.nextData)
    return pages
  }

  /// Finds the first part of a range that may hold something else than zeros.
  private typealias Search = (Range<UInt64>) throws(SystemCallError) -> Range<UInt64>?

  /// Clears `pages` where little of them is there. Whether all are zero now.
  private func cleared(
    _ pages: some PageTarget, _ nextData: Search
  ) throws(SystemCallError) -> Bool {
    guard !pages.startsZero else { return true }
    guard let runs = try fewRuns(of: pages.byteCount, nextData) else { return false }
    for run in runs { try clear(run, of: pages) }
    return true
  }

  /// What is there of `byteCount` bytes; `nil` where that is more than a quarter, or too scattered to be worth it.
  private func fewRuns(
    of byteCount: UInt64, _ nextData: Search
  ) throws(SystemCallError) -> [Range<UInt64>]? {
    var (runs, bytes): ([Range<UInt64>], UInt64) = ([], 0)
    var rest = 0..<byteCount
    while let run = try nextData(rest) {
      runs.append(run)
      bytes += UInt64(run.count)
      guard bytes <= byteCount / 4, runs.count <= Self.mostRuns else { return nil }
      rest = run.upperBound..<rest.upperBound
    }
    return runs
  }

  /// The most runs of pages that are cleared one by one: each takes two system calls.
  private static let mostRuns = 65536

  private func clear(
    _ bytes: Range<UInt64>, of pages: some PageTarget
  ) throws(SystemCallError) {
    for piece in ZeroPieces(of: bytes) {
      switch pages.writeAccess {
      case .file(let file, let first): try file.write(piece.zeros, at: first + piece.offset)
      case .copy(let target): try target.put(piece.zeros, at: piece.offset)
      }
    }
  }
}

extension GuestMemory.Place {
  /// The file behind the block, if it has a name: it may have been there before QEMU was.
  fileprivate var oldFile: (inode: MappedFileIdentity, offset: UInt64)? {
    switch backing {
    case .sharedFile(let inode, let offset, let path),
      .privateFile(let inode, let offset, let path):
      path.hasSuffix(" (deleted)") ? nil : (inode, offset)
    case .anonymous, .mixed: nil
    }
  }
}

extension CopyingTarget {
  /// Puts `bytes` at `offset`.
  fileprivate func put(_ bytes: [UInt8], at offset: UInt64) throws(SystemCallError) {
    var failure: SystemCallError?
    // SAFETY: the bytes of the array, for the time of the call.
    unsafe bytes.withUnsafeBytes { buffer in
      do throws(SystemCallError) {
        try unsafe copy(from: buffer, to: offset)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}

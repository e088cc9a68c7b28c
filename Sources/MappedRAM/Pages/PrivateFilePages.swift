package import LinuxIO
package import LinuxProcesses
import MappedRAMFormat

/// The contents of a RAMBlock that another process has mapped privately from a file, like a guest that runs on an image.
///
/// Of pages that were written the process has copies of its own. All others have the bytes of the file, and are read from there, its holes
/// not at all: to read them from the process would bring each into its memory, where it stays, and a hole into the page cache; on tmpfs,
/// which then takes memory for it, up to the end of the process where there is none.
package struct PrivateFilePages: PageSource, CopyingSource {
  private let memory: ProcessMemory
  private let address: UInt64
  private let pageMap: PageMap
  private let file: FilePages
  /// The same part of the file, mapped here: it tells what of it is in memory, and gives that.
  private let mapping: Mapping
  /// Whether the file is in memory alone, or in swap.
  private let isInMemory: Bool

  /// The memory of a process from `address` on, which has `file` mapped there.
  ///
  /// - Throws: what mmap gives; `outsideFile` where the file has been cut.
  package init(
    _ memory: ProcessMemory, at address: UInt64, pageMap: PageMap, file: FilePages
  ) throws(SystemCallError) {
    self.memory = memory
    self.address = address
    self.pageMap = pageMap
    self.file = file
    mapping = try Mapping(
      file.file, range: file.start..<(file.start + file.byteCount), mode: .read)
    // What is read here must not have the kernel read more.
    try mapping.advise(.random, 0..<mapping.byteCount)
    isInMemory = try file.file.isInMemory()
  }

  /// Bytes in the mapping.
  package var byteCount: UInt64 { file.byteCount }
  /// Copied by calls, from the process or from the file.
  package var readAccess: SourceAccess { .copy(self) }

  /// The first part of `range` that the process has written, or for which the file has data.
  package func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    guard !range.isEmpty else { return nil }
    guard let own = try nextOwn(in: range) else { return try nextFileData(in: range) }
    guard let data = try nextFileData(in: range) else { return own }
    let (first, second) = own.lowerBound <= data.lowerBound ? (own, data) : (data, own)
    guard second.lowerBound <= first.upperBound else { return first }
    return first.lowerBound..<max(first.upperBound, second.upperBound)
  }

  private func nextOwn(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    let addresses = (address + range.lowerBound)..<(address + range.upperBound)
    return try pageMap.nextOwn(in: addresses).map {
      ($0.lowerBound - address)..<($0.upperBound - address)
    }
  }

  private func nextFileData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    // Where the file has been cut, what is gone is no hole: it fails when it is read.
    guard let data = try file.nextData(in: range) else { return nil }
    let place = (file.start + data.lowerBound)..<(file.start + data.upperBound)
    guard isInMemory else {
      guard let found = try file.file.nextData(in: place) else { return data }
      return data.lowerBound..<(found.upperBound - file.start)
    }
    // To find the end of data takes long there (`File.nextDataStart`). What is in swap is taken page by page.
    let resident = try mapping.residentCount(of: Int(data.lowerBound)..<Int(data.upperBound))
    let page = PageMap.pageBytes
    let count = resident > 0 ? UInt64(resident) : page - data.lowerBound % page
    return data.lowerBound..<min(data.lowerBound + count, data.upperBound)
  }

  /// Fills `buffer` with the bytes at `offset`.
  package func copy(
    into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    let end = offset + UInt64(buffer.count)
    var position = offset
    while position < end {
      // What becomes the process's own after this look was the file's until then.
      let own = try nextOwn(in: position..<end)
      let fileEnd = own?.lowerBound ?? end
      if position < fileEnd {
        try unsafe copyFile(
          into: part(of: buffer, position - offset..<fileEnd - offset), from: position)
      }
      if let own {
        try unsafe memory.read(
          into: part(of: buffer, own.lowerBound - offset..<own.upperBound - offset),
          from: address + own.lowerBound)
      }
      position = own?.upperBound ?? end
    }
  }

  /// Fills `buffer` with the file's bytes: what is in memory from there, the rest past the page cache, which stays as it is.
  ///
  /// What is in memory is copied from the mapping: read(2) has the kernel read ahead, holes as well.
  private func copyFile(
    into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    let end = Int(offset) + buffer.count
    var place = Int(offset)
    while place < end {
      let resident = try mapping.residentCount(of: place..<end)
      let count = resident > 0 ? resident : end - place
      let target = unsafe part(
        of: buffer, UInt64(place) - offset..<UInt64(place + count) - offset)
      if resident > 0 {
        try mapping.populate(place..<place + count)
        // SAFETY: slicing checks that the part lies inside; the mapping is referenced until the copy is over.
        unsafe mapping.withUnsafeBytes { bytes in
          unsafe target.copyMemory(
            from: UnsafeRawBufferPointer(rebasing: bytes[place..<place + count]))
        }
      } else {
        let got = try unsafe file.file.read(
          into: target, at: file.start + UInt64(place), pastCache: true)
        guard got == count else {
          throw .outsideFile(
            file.file.path, range: file.start + offset..<file.start + UInt64(end),
            byteCount: try file.file.size())
        }
      }
      place += count
    }
  }

  @unsafe
  private func part(
    of buffer: UnsafeMutableRawBufferPointer, _ range: Range<UInt64>
  ) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(
      rebasing: buffer[Int(range.lowerBound)..<Int(range.upperBound)])
  }
}

public import LinuxIO
import MappedRAMFormat

/// The contents of a RAMBlock in memory that is mapped here, like a shared file or a memfd.
public struct MappedPages: PageSource {
  private let mapping: Mapping
  /// What the mapping is of; `nil` where its holes are not known.
  private let file: FilePages?

  /// All of `mapping`.
  package init(_ mapping: Mapping) {
    self.mapping = mapping
    file = nil
  }

  /// The contents of `file`, mapped: what is a hole in it is not touched, and stays one. (Where the file is another user's and may not
  /// be written by this process, the kernel does not tell which pages are there: a hole may be filled then.)
  ///
  /// - Throws: what mmap gives; `outsideFile` where the file has been cut.
  public init(_ file: FilePages) throws(SystemCallError) {
    mapping = try Mapping(file.file, range: file.start..<(file.start + file.byteCount), mode: .read)
    self.file = file
  }

  /// Bytes in the mapping.
  public var byteCount: UInt64 { UInt64(mapping.byteCount) }
  /// The bytes are written from where they are.
  public var readAccess: SourceAccess { .mapping(mapping) }

  /// As the file says, where there is one: up to its next hole, since a hole that is touched here is one no more, and takes memory.
  public func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    guard let file else { return range.isEmpty ? nil : range }
    guard let data = try file.nextData(in: range) else { return nil }
    let resident = try mapping.residentCount(of: Int(data.lowerBound)..<Int(data.upperBound))
    // Data that is not in memory, such as in swap, is taken page by page. (The end of the data by SEEK_HOLE would take long: a file in
    // memory is searched up to its next hole, however far, each time; Linux 6.18.)
    let page = UInt64(PageSize.fourKiB.byteCount)
    let count = resident > 0 ? UInt64(resident) : page - data.lowerBound % page
    return data.lowerBound..<min(data.lowerBound + count, data.upperBound)
  }
}

public import LinuxIO

/// The contents of a RAMBlock in memory that is mapped here, like a shared file or a memfd.
public struct MappedPages: PageSource {
  private let mapping: Mapping

  /// All of `mapping`.
  public init(_ mapping: Mapping) { self.mapping = mapping }

  /// Bytes in the mapping.
  public var byteCount: UInt64 { UInt64(mapping.byteCount) }
  /// The bytes are written from where they are.
  public var readAccess: SourceAccess { .memory(mapping) }
}

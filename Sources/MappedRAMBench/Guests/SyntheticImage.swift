package import MappedRAM
package import MappedRAMFormat
package import SystemPackage

extension SyntheticGuest {
  /// The plan of an image with this guest's memory as its only RAMBlock and no device: whole for every reader, though no
  /// machine can be started from it.
  ///
  /// - Parameter path: what errors are about.
  /// - Throws: `ImageError` where the memory is larger than images can have.
  package func plan(for path: FilePath) throws(ImageError) -> SavePlan {
    try Self.plan(of: self, for: path)
  }

  /// The same plan with other pages: those of memory into which a guest's were put.
  ///
  /// - Throws: as the other `plan`.
  package static func plan(
    of pages: any PageSource, for path: FilePath, slots: SlotLayout = .qemu
  ) throws(ImageError) -> SavePlan {
    let prologue = StreamPrologue(
      configuration: Configuration(
        machineType: "none", subsections: [.capabilities([Configuration.mappedRAMCapability])]))
    let block: RAMBlock
    do throws(FormatError) {
      block = try RAMBlock(
        idstr: Self.idstr, usedLength: ByteCount(pages.byteCount), pageSize: .fourKiB)
    } catch {
      throw .format(error, in: path)
    }
    var tail = ByteOutput()
    StreamElement.end(id: prologue.ramSectionID).encode(into: &tail)
    RAMWord.endOfSection.encode(into: &tail)
    SectionFooter(id: prologue.ramSectionID).encode(into: &tail)
    StreamElement.endOfStream.encode(into: &tail)
    return try SavePlan(
      prologue: prologue, blocks: [SavePlan.Block(block, pages: pages)],
      tail: [.bytes(tail.bytes)], slots: slots, for: path)
  }

  /// The name of the RAMBlock.
  package static let idstr = "synthetic.ram"
}

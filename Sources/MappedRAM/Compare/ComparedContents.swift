import LinuxIO
import MappedRAMFormat
import SystemPackage

/// What is compared: an image that is whole as far as its structure goes, or a paused VM.
struct ComparedContents {
  let machineType: String
  let blocks: [Block]
  /// The file that the states of devices stand in, and what they are.
  let stateFile: ImageFile
  let sections: [ImageSection]
  let description: DeviceDescription?
  /// The devices with states behind the stream; `nil` where that is not known.
  let storedDevices: [StoredDevice]?
  /// The sums of an image.
  let sums: StoredSums.Found
  let presentBytes: UInt64
  let end: FileOffset

  /// A block, and where its pages are.
  struct Block {
    let block: RAMBlock
    let pages: Pages
  }

  /// Where the pages of a block are.
  enum Pages {
    /// Nowhere.
    case none
    /// In an image.
    case slots(FileOffset, ImageBlock)
    /// In the memory of a VM.
    case memory(any PageSource)
  }

  /// The image in `file`.
  ///
  /// - Throws: `format` where it is damaged or incomplete.
  init(
    _ file: File, _ streamOffset: FileOffset?, _ cancellation: Cancellation
  ) throws(ImageError) {
    let image = try Image(reading: file, streamOffset: streamOffset, cancellation: cancellation)
    if let problem = image.problems.first { throw .format(problem, in: file.path) }
    machineType = image.prologue?.configuration.machineType ?? ""
    blocks = image.blocks.map { block in
      Block(
        block: block.block,
        pages: block.layout.pages.map { .slots($0.lowerBound, block) } ?? .none)
    }
    stateFile = ImageFile(file, cancellation: cancellation)
    (sections, description) = (image.sections, image.description)
    storedDevices = image.deviceArea?.devices ?? []
    sums = try StoredSums.find(in: image, stateFile)
    presentBytes = image.presentBytes
    end = image.fileSize
  }

  /// The contents of a VM.
  init(_ vm: VMContents, _ cancellation: Cancellation) throws(ImageError) {
    machineType = vm.machineType
    blocks = vm.blocks.map { block in
      Block(block: block.block, pages: block.pages.map { .memory($0) } ?? .none)
    }
    stateFile = ImageFile(vm.state.file, cancellation: cancellation)
    (sections, description) = (vm.state.sections, vm.state.description)
    // As in an image: the state itself says what another migration would go by.
    if let runState = vm.runState, let section = sections.first(where: \.isGlobalState) {
      var output = ByteOutput(at: section.body.lowerBound)
      GlobalState(runState).encode(into: &output)
      if output.offset <= section.body.upperBound { try stateFile.write(output) }
    }
    storedDevices = nil
    sums = .none
    presentBytes = 0
    end = .zero
  }

  var path: FilePath { stateFile.path }

  /// Bytes of all blocks.
  var ramBytes: UInt64 { blocks.reduce(0) { $0 + $1.block.usedLength.rawValue } }
}

/// The pages of a block on one side of a comparison, and the sums of its chunks.
struct ComparedSide {
  /// The pages that are there; all others are zero.
  let present: PageBitmap
  let source: SourceAccess
  /// Where the block begins in the source.
  let start: UInt64
  let sums: Sums

  enum Sums {
    /// In the image.
    case stored(Range<FileOffset>, ImageFile)
    /// Taken of its pages, once the channels have synced.
    case taken(ChunkSums)
  }

  init(_ pages: SidePages, _ sums: Sums) {
    (present, source, start) = (pages.present, pages.source, pages.start)
    self.sums = sums
  }

  var isStored: Bool { if case .stored = sums { true } else { false } }

  /// The `count` bytes of the block from `offset` on.
  func read(_ count: Int, at offset: UInt64) throws(SystemCallError) -> [UInt8] {
    switch source {
    case .file(let file, let first):
      let bytes = try file.readBytes(at: first + start + offset, count: count)
      // A file that ends early was cut after its structure was read.
      guard bytes.count == count else {
        throw SystemCallError(call: .pread, errno: .ioError, subject: .file(file.path))
      }
      return bytes
    case .copy(let memory):
      var outcome: Result<Void, SystemCallError> = .success(())
      // SAFETY: all of the buffer is filled, or the bytes are not used.
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        unsafe buffer.initialize(repeating: 0)
        initialized = count
        do throws(SystemCallError) {
          try unsafe memory.copy(
            into: UnsafeMutableRawBufferPointer(buffer), from: start + offset)
        } catch {
          outcome = .failure(error)
        }
      }
      try outcome.get()
      return bytes
    case .mapping(let mapping):
      let first = Int(start + offset)
      // SAFETY: the mapping has the block's bytes, and is there as long as its source.
      return unsafe Array(mapping.bytes[first..<(first + count)])
    }
  }
}

/// The pages of a block on one side.
struct SidePages {
  let present: PageBitmap
  let source: SourceAccess
  let start: UInt64

  /// Pages in slots of an image.
  init(_ present: PageBitmap, in file: File, at slots: FileOffset) {
    self.present = present
    source = .file(file)
    start = slots.rawValue
  }

  /// The pages of `memory` that may be anything but zero.
  init(_ memory: any PageSource, of block: RAMBlock) throws(ImageError) {
    var present = PageBitmap(pageCount: block.pageCount)
    let shift = UInt64(block.pageSize.shift)
    let end = block.usedLength.rawValue
    var position: UInt64 = 0
    while position < end {
      let rest = position..<end
      guard
        let data = try calling({ () throws(SystemCallError) in try memory.nextData(in: rest) })
      else { break }
      let last = min(data.upperBound + (1 << shift) - 1, end) >> shift
      present.insert(Int(data.lowerBound >> shift)..<Int(last))
      position = max(data.upperBound, position + 1)
    }
    self.present = present
    source = memory.readAccess
    start = 0
  }
}

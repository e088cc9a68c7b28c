import LinuxIO
import MappedRAMFormat
import SystemPackage

/// A repair under way: the areas first, which say what is right; then all of the stream that is not pages; then pages.
struct RepairRun {
  let file: ImageFile
  let sources: [RepairSource]
  let check: ImageVerification
  let progress: TransferProgress
  private(set) var repaired: [ImageRepair.Repaired] = []

  init(
    file: ImageFile, sources: [RepairSource], check: ImageVerification, progress: TransferProgress
  ) {
    self.file = file
    self.sources = sources
    self.check = check
    self.progress = progress
  }

  /// Repairs what can be.
  ///
  /// - Returns: what the image is afterwards.
  mutating func run() throws(ImageError) -> ImageVerification.Outcome {
    var image = try read()
    if image.areas == .none, image.restoreProblem == nil {
      throw .contents(file.path, .noSums)
    }
    try mendAreas(image)
    image = try read()
    guard let sums = try sums(of: image) else { return try verify() }
    guard try areOfThisImage(sums) else { throw .contents(file.path, .foreignSums) }
    let spansAreWhole = try mendSpans(sums)
    try mendBitmaps(sums)
    try mendEntries(sums)
    image = try read()
    if spansAreWhole, image.areas.isDamaged {
      // With the stream's end, and its description.
      try mendAreas(image)
      try mendClosing(try read())
      image = try read()
    }
    try mendBuffers(image)
    name(image)
    var outcome = try verify()
    while outcome.damagedChunkCount > 0 {
      let count = repaired.count
      for (block, entries) in sums.blockEntries {
        try mendPages(of: block, entries, outcome.damage)
      }
      guard repaired.count > count else { break }
      outcome = try verify()
    }
    return outcome
  }

  func read() throws(ImageError) -> Image {
    try Image(file, streamOffset: check.streamOffset)
  }

  private func verify() throws(ImageError) -> ImageVerification.Outcome {
    if !repaired.isEmpty { try file.sync() }
    return try check.run(progress: progress, cancellation: file.cancellation)
  }

  /// Writes right bytes over damaged ones.
  mutating func put(
    _ bytes: [UInt8], at offset: FileOffset, _ part: ImageRepair.Part, from source: RepairSource?
  ) throws(ImageError) {
    try file.write(bytes, at: offset)
    note(part, offset..<(offset + ByteCount(bytes.count)), from: source)
  }

  /// The same, from where they are.
  private mutating func put(
    _ place: RepairSource.Place, at range: Range<FileOffset>, _ part: ImageRepair.Part,
    from source: RepairSource
  ) throws(ImageError) {
    var position = FileOffset.zero
    while position < .zero + range.byteCount {
      try file.cancellation.check()
      let done = position - .zero
      let count = Int(
        min(UInt64(ImageFile.chunkBytes), range.byteCount.rawValue - done.rawValue))
      try file.write(
        try place.file.read(count, at: place.range.lowerBound + done),
        at: range.lowerBound + done)
      position = position + ByteCount(count)
    }
    note(part, range, from: source)
  }

  mutating func note(
    _ part: ImageRepair.Part, _ range: Range<FileOffset>, from source: RepairSource?
  ) {
    let source = source?.path
    if case .pages(let idstr, let pages) = part, let last = repaired.last,
      case .pages(idstr, let before) = last.part, before.upperBound == pages.lowerBound,
      last.source == source
    {
      repaired[repaired.count - 1].part = .pages(
        idstr: idstr, before.lowerBound..<pages.upperBound)
      repaired[repaired.count - 1].range = last.range.lowerBound..<range.upperBound
      return
    }
    repaired.append(ImageRepair.Repaired(part: part, range: range, source: source))
  }

  /// Says whose state the spans are that were put back.
  private mutating func name(_ image: Image) {
    for (index, one) in repaired.enumerated() where one.part == .span(device: nil) {
      repaired[index].part = .span(device: image.device(in: one.range))
    }
  }
}

// MARK: The stream but its pages

extension RepairRun {
  /// The sums that the image has.
  private func sums(of image: Image) throws(ImageError) -> SumsArea? {
    guard let header = try SumsArea.header(of: image, in: file) else { return nil }
    return try? SumsArea.read(header, of: file).get()
  }

  /// Whether something that is in the image is as the sums say: those that somebody has left behind another stream say nothing.
  private func areOfThisImage(_ sums: SumsArea) throws(ImageError) -> Bool {
    for span in sums.spans where try file.has(span.sum, in: span.range) { return true }
    for block in sums.blocks where try file.has(block.bitmapSum, in: block.bitmap) { return true }
    return false
  }

  /// Puts back spans that are damaged.
  ///
  /// - Returns: whether all are whole now.
  private mutating func mendSpans(_ sums: SumsArea) throws(ImageError) -> Bool {
    var damaged: [SumsArea.Span] = []
    for span in sums.spans where try !file.has(span.sum, in: span.range) { damaged.append(span) }
    guard !damaged.isEmpty, let start = sums.spans.first?.range.lowerBound else {
      return damaged.isEmpty
    }
    let structures = sources.map { $0.otherLayouts(startingAt: start) }
    var areWhole = true
    for span in damaged {
      var isFound = false
      for (source, others) in zip(sources, structures) where !isFound {
        guard let place = try source.span(span, besides: others) else { continue }
        try put(place, at: span.range, .span(device: nil), from: source)
        isFound = true
      }
      areWhole = areWhole && isFound
    }
    return areWhole
  }

  private mutating func mendBitmaps(_ sums: SumsArea) throws(ImageError) {
    for block in sums.blocks where try !file.has(block.bitmapSum, in: block.bitmap) {
      for source in sources {
        guard let bitmap = try source.bitmap(of: block.block) else { continue }
        var output = ByteOutput(at: block.bitmap.lowerBound)
        bitmap.encode(into: &output)
        guard ContentSum(of: output.bytes) == block.bitmapSum else { continue }
        try put(
          output.bytes, at: output.base, .bitmap(idstr: block.block.idstr), from: source)
        break
      }
    }
  }

  mutating func mendBuffers(_ image: Image) throws(ImageError) {
    for device in image.deviceArea?.devices ?? [] {
      for (number, buffer) in device.buffers.enumerated() {
        let range = buffer.offset..<(buffer.offset + buffer.byteCount)
        guard try !file.has(buffer.sum, in: range) else { continue }
        for source in sources {
          guard
            let place = try source.buffer(of: device.identity, buffer.byteCount, buffer.sum)
          else { continue }
          try put(place, at: range, .buffer(device.identity, number: number), from: source)
          break
        }
      }
    }
  }

  /// Puts back the sums of chunks that are damaged themselves: by pages that are whole, here or elsewhere.
  private mutating func mendEntries(_ sums: SumsArea) throws(ImageError) {
    for (block, range) in sums.blockEntries {
      guard try !file.has(block.entriesSum, in: range),
        try file.has(block.bitmapSum, in: block.bitmap)
      else { continue }
      try mendEntries(of: block, at: range)
    }
  }

  private mutating func mendEntries(
    of block: SumsArea.Block, at range: Range<FileOffset>
  ) throws(ImageError) {
    let count = Int(range.byteCount.rawValue)
    var stored = try file.readUp(to: count, at: range.lowerBound)
    stored += Array(repeating: 0, count: count - stored.count)
    var entries = DamagedEntries(ContentSum.list(stored))
    let chunks = try ChunkPlaces(block, in: file)
    guard chunks.count == block.entryCount else { return }
    for (index, chunk) in chunks.enumerated() {
      let own = chunks.summer.sum(of: try chunks.contents(of: chunk, in: file))
      let wanted = entries.sums[index]
      guard own != wanted else { continue }
      var others: [ContentSum] = []
      for source in sources {
        let theirs = try source.contents(
          of: block.block.idstr, chunks.summer.pages(of: chunk), block.block.pageSize)
        if let theirs { others.append(chunks.summer.sum(of: theirs)) }
      }
      // What another has with this sum is what was saved: then the sum is right, and the page is not.
      if !others.contains(wanted) { entries.doubt(index, [own] + others) }
    }
    guard let right = entries.choice(withSum: block.entriesSum) else { return }
    try put(right, at: range.lowerBound, .entries(idstr: block.block.idstr), from: nil)
  }
}

/// The sums of a block's chunks, of which some are damaged, and what they may have been.
struct DamagedEntries {
  private(set) var sums: [ContentSum]
  private var doubts: [(index: Int, choices: [ContentSum])] = []

  /// Choices that are tried at most, and bytes that are hashed for them.
  private static let (mostChoices, mostBytes) = (4096, 256 << 20)

  init(_ sums: [ContentSum]) { self.sums = sums }

  /// Entry `index` is one of `choices`, or what is stored.
  mutating func doubt(_ index: Int, _ choices: [ContentSum]) {
    doubts.append((index, choices))
  }

  /// The bytes of the entries that have the sum `wanted`; `nil` where none of what is tried has. First all that are doubted are the first
  /// choice of theirs, the second, and so on; then each is by itself, where that is not too much.
  mutating func choice(withSum wanted: ContentSum) -> [UInt8]? {
    let most = doubts.map(\.choices.count).max() ?? 0
    for number in 0..<most {
      for (index, choices) in doubts { sums[index] = choices[min(number, choices.count - 1)] }
      if ContentSum(of: bytes) == wanted { return bytes }
    }
    let limit = min(
      Self.mostChoices, Self.mostBytes / max(sums.count * ContentSum.byteCount, 1))
    var all = 1
    for doubt in doubts where all <= limit { all *= doubt.choices.count }
    guard all <= limit else { return nil }
    for number in 0..<all {
      var rest = number
      for (index, choices) in doubts {
        sums[index] = choices[rest % choices.count]
        rest /= choices.count
      }
      if ContentSum(of: bytes) == wanted { return bytes }
    }
    return nil
  }

  private var bytes: [UInt8] {
    var output = ByteOutput()
    for sum in sums { sum.encode(into: &output) }
    return output.bytes
  }
}

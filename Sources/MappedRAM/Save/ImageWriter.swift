import LinuxIO
import MappedRAMFormat

/// Writes an image as planned into a file: pages by the channels, all else by the calling thread, bitmaps last.
struct ImageWriter: ~Copyable {
  private let plan: SavePlan
  private let file: File
  private let cancellation: Cancellation

  init(_ plan: SavePlan, to file: File, cancellation: Cancellation) {
    self.plan = plan
    self.file = file
    self.cancellation = cancellation
  }

  /// What stands in the file once the channels are done.
  struct Contents {
    /// For each block, which pages it has now; `nil` for a block that is left out.
    var bitmaps: [PageBitmap?]
    /// Where the devices' states are.
    var area: DeviceArea?
  }

  /// What the channels have written.
  struct Written {
    /// What stands in the file.
    var contents: Contents
    /// What became of the devices' states.
    var devices: [DeviceReport] = []
    /// Whether slots of absent pages hold zeros that were written, as short gaps are where holes need not be kept.
    var fillsGaps: Bool
    /// What the channels did.
    var report: ChannelReport
  }

  /// Writes the pages, and beside them the states of devices.
  func writePages(
    _ options: ChannelOptions, factory: (any ChannelIOFactory)?, progress: Progress
  ) throws(ImageError) -> Written {
    progress.plan(plan.ramTotal.rawValue)
    let extentBytes = ExtentPlan.extentBytes(for: plan.pageSize, requestBytes: options.requestBytes)
    var pool = try ChannelPool(
      options, extentBytes: extentBytes, factory: factory, progress: progress,
      cancellation: cancellation)
    let saving = try startDevices(pool.inlet, extentBytes, progress)
    var saves: [BlockSave?] = []
    for (block, layout) in zip(plan.blocks, plan.layout.blocks) {
      guard let pages = block.pages, let slots = layout.pages else {
        saves.append(nil)
        continue
      }
      let save = BlockSave(
        block.block, from: pages, to: file, slots: slots.lowerBound, forced: block.presentZeros,
        gapBytes: plan.keepsHoles ? 0 : BlockSave.gapBytes, extentBytes: extentBytes)
      pool.enqueue(save)
      saves.append(save)
    }
    saving?.wait()
    try pool.sync()
    let bitmaps = saves.map { $0?.present.bitmap }
    let stored = saving?.outcome
    return Written(
      contents: Contents(bitmaps: bitmaps, area: stored?.area), devices: stored?.reports ?? [],
      fillsGaps: saves.contains { $0?.fillsGaps == true }, report: try pool.finish())
  }

  /// Starts the tasks of the plan's devices, if it has some. The file has room up to the end of the stream.
  func startDevices(
    _ inlet: WorkInlet, _ extentBytes: Int, _ progress: Progress
  ) throws(ImageError) -> DeviceWriter? {
    guard !plan.devices.isEmpty else { return nil }
    let size = try calling { () throws(SystemCallError) in try file.size() }
    var saving = try DeviceWriter(
      plan, to: file, fileEnd: size, inlet: inlet, extentBytes: extentBytes, progress: progress)
    try saving.start()
    return saving
  }

  /// Writes everything but the pages and the stream's first eight bytes.
  func writeStructures(_ contents: Contents) throws(ImageError) {
    if let prefix = plan.prefix { try write(prefix, at: .zero) }
    let head = plan.prologue.encoded(at: plan.layout.streamOffset)
    try write(
      Array(head.bytes.dropFirst(StreamHeader.byteCount)),
      at: plan.layout.streamOffset + ByteCount(StreamHeader.byteCount))
    var total = ByteOutput(at: plan.layout.blockList)
    RAMWord.memorySize(plan.ramTotal).encode(into: &total)
    try write(total.bytes, at: total.base)
    for (block, layout) in zip(plan.blocks, plan.layout.blocks) {
      try cancellation.check()
      try writeEntry(block.block, layout)
    }
    let listEnd = plan.prologue.encodedListEnd(at: plan.layout.listEnd)
    try write(listEnd.bytes, at: listEnd.base)
    try writeTail()
    if let area = contents.area { try write(area) }
    for (bitmap, layout) in zip(contents.bitmaps, plan.layout.blocks) {
      guard let place = layout.bitmap else { continue }
      // On a device what was there before stands where nothing is written.
      try write(bitmap ?? PageBitmap(pageCount: Int(place.byteCount.rawValue) * 8), at: place)
    }
  }

  private func write(_ bitmap: PageBitmap, at place: Range<FileOffset>) throws(ImageError) {
    let words = bitmap.words
    let step = ImageWindow.bitmapBytes / 8
    for first in stride(from: 0, to: words.count, by: step) {
      try cancellation.check()
      var output = ByteOutput(at: place.lowerBound + ByteCount(first * 8))
      bitmap.encode(first..<min(first + step, words.count), into: &output)
      try write(output.bytes, at: output.base)
    }
  }

  /// Writes the stream's first eight bytes: from now on the image is one.
  func writeStreamHeader() throws(ImageError) {
    try write(streamHeader.bytes, at: streamHeader.base)
  }

  /// The stream's first eight bytes.
  var streamHeader: ByteOutput {
    var output = ByteOutput(at: plan.layout.streamOffset)
    StreamHeader().encode(into: &output)
    return output
  }

  /// Makes whatever image was there before unreadable.
  func clearStreamHeader() throws(ImageError) {
    try write(
      Array(repeating: 0, count: StreamHeader.byteCount), at: plan.layout.streamOffset)
  }

  private func writeEntry(_ block: RAMBlock, _ layout: BlockLayout) throws(ImageError) {
    var output = ByteOutput(at: layout.entry)
    let form = RAMBlockEntry.Form(plan.prologue.configuration)
    RAMBlockEntry(
      idstr: block.idstr, usedLength: block.usedLength,
      address: form.hasAddress ? block.address ?? 0 : nil,
      header: layout.header(pageSize: block.pageSize)
    ).encode(into: &output)
    try write(output.bytes, at: output.base)
  }

  private func writeTail() throws(ImageError) {
    var position = plan.layout.tail
    for part in plan.tail {
      try write(part, at: position)
      position = position + part.byteCount
    }
    // Behind an EOF byte on a device an old 0x06 would begin a description.
    if file.kind == .blockDevice,
      try calling({ () throws(SystemCallError) in try file.size() }) > position.rawValue
    {
      try write([0], at: position)
    }
  }

  /// Writes what leads to the buffers, which are there, and cuts the file behind it.
  private func write(_ area: DeviceArea) throws(ImageError) {
    let (header, table) = area.encoded()
    let size = try calling { () throws(SystemCallError) in try file.size() }
    switch file.kind {
    case .regular:
      try calling { () throws(SystemCallError) in try file.truncate(to: area.end.rawValue) }
    case .blockDevice where size < area.end.rawValue:
      throw .plan(.targetTooSmall(file.path, found: size, needed: area.end.rawValue))
    case .blockDevice: break
    }
    try write(table.bytes, at: table.base)
    try write(header.bytes, at: header.base)
  }

  private func write(_ part: StreamBytes, at offset: FileOffset) throws(ImageError) {
    switch part {
    case .bytes(let bytes):
      try write(bytes, at: offset)
    case .file(let source, let range):
      try RangeCopy(from: source, range, to: file, at: offset.rawValue).run(cancellation)
    case .reserved: break
    }
  }

  private func write(_ bytes: [UInt8], at offset: FileOffset) throws(ImageError) {
    try calling { () throws(SystemCallError) in try file.write(bytes, at: offset.rawValue) }
  }
}

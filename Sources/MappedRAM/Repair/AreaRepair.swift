import LinuxIO
import MappedRAMFormat

/// What stands behind the stream has no sum of its own. Headers and tables have checksums, and say where they stand; so a copy of one, from
/// the same place, is right where it has the checksum, and a whole area of sums where all that it says holds.
extension RepairRun {
  /// Puts back headers and tables of areas.
  mutating func mendAreas(_ image: Image) throws(ImageError) {
    for start in try starts(of: image) {
      var headers: [AreaHeader] = []
      var place = start
      while headers.count < ImageLimits.areas, let header = try mendHeader(at: place) {
        headers.append(header)
        place = header.range.upperBound
      }
      let end = try file.end()
      // Behind one that is lost there may be others.
      if place < end { headers += try AreaScan.headers(in: place..<end, of: file) }
      for header in headers { try mendTable(of: header) }
      if !headers.isEmpty { break }
    }
    try mendSums()
  }

  /// Where the first area may begin, the likeliest first.
  private func starts(of image: Image) throws(ImageError) -> [FileOffset] {
    let end = try file.end()
    var starts: [FileOffset] = []
    if let first = image.areas.headers.first { starts.append(first.range.lowerBound) }
    if let tail = image.tail { starts.append(tail.upperBound) }
    if end - .zero > ByteCount(AreaLine.byteCount) {
      let place = FileOffset(end.rawValue - UInt64(AreaLine.byteCount))
      let bytes = try file.readUp(to: AreaLine.byteCount, at: place)
      var input = ByteInput(bytes.span, at: place)
      if let line = AreaLine(parsing: &input) { starts.append(line.firstArea) }
    }
    starts += sources.filter(\.isImage).compactMap { source in
      source.image.areas.headers.first?.range.lowerBound
    }
    return starts.filter { $0 < end }
  }

  /// The header at `offset` of `file`, if one is there that has its checksum. Its area may be cut off.
  private func header(at offset: FileOffset, of file: ImageFile) throws(ImageError) -> AreaHeader? {
    let place = offset..<(offset + ByteCount(AreaHeader.byteCount))
    guard let bytes = try file.readWhole(place) else { return nil }
    var input = ByteInput(bytes.span, at: offset)
    return try? AreaHeader(parsing: &input, fileEnd: FileOffset(UInt64(Int64.max)))
  }

  /// The header at `offset`, from a copy where it is damaged: one is right whose table is here.
  private mutating func mendHeader(at offset: FileOffset) throws(ImageError) -> AreaHeader? {
    if let header = try header(at: offset, of: file) { return header }
    for source in sources where source.isImage {
      guard let header = try header(at: offset, of: source.file), header.table.byteCount > .zero,
        try hasTable(of: header, file)
      else { continue }
      try put(
        header.encoded.bytes, at: offset, .areaHeader(header.kind), from: source)
      return header
    }
    return nil
  }

  /// Whether `file` has the table that `header` tells of.
  private func hasTable(of header: AreaHeader, _ file: ImageFile) throws(ImageError) -> Bool {
    guard try header.table.upperBound <= file.end() else { return false }
    var sum = CRC32C()
    var place = header.table.lowerBound
    while place < header.table.upperBound {
      let count = min(
        ByteCount(ImageFile.chunkBytes), header.table.upperBound - place)
      guard let bytes = try file.readWhole(place..<(place + count)) else { return false }
      sum.add(bytes)
      place = place + count
    }
    return sum.value == header.tableChecksum
  }

  /// Puts back the table that `header` tells of, where it is damaged: a copy that has the checksum is right.
  private mutating func mendTable(of header: AreaHeader) throws(ImageError) {
    guard header.table.byteCount <= SumsArea.mostTableBytes, try !hasTable(of: header, file) else {
      return
    }
    for source in sources where source.isImage {
      guard try hasTable(of: header, source.file),
        let bytes = try source.file.readWhole(header.table)
      else { continue }
      return try put(
        bytes, at: header.table.lowerBound, .areaTable(header.kind), from: source)
    }
  }

  /// Puts back a whole area of sums of which nothing is left that says what is right: from a copy whose sums are those of all contents
  /// that are here.
  private mutating func mendSums() throws(ImageError) {
    var image = try read()
    if let known = try SumsArea.header(of: image, in: file),
      case .success = try SumsArea.read(known, of: file)
    {
      return
    }
    if case .damaged(_, let problem) = image.areas { image.problems.removeAll { $0 == problem } }
    guard image.isComplete, let end = image.tail?.upperBound else { return }
    try mendBuffers(image)
    let places = [end] + image.areas.headers.map(\.range.upperBound)
    for source in sources where source.isImage {
      guard let header = try SumsArea.header(of: source.image, in: source.file),
        places.contains(header.range.lowerBound),
        case .success(let sums) = try SumsArea.read(header, of: source.file)
      else { continue }
      let found = try check.check(
        file, image, with: ImageVerification.Sums(area: sums, file: source.file),
        progress: progress)
      guard found.damage.isEmpty, found.root != nil,
        let entries = try source.file.readWhole(sums.entries),
        let table = try source.file.readWhole(header.table)
      else { continue }
      if try file.readWhole(sums.entries) != entries {
        try put(entries, at: sums.entries.lowerBound, .areaTable(.sums), from: source)
      }
      try put(table, at: header.table.lowerBound, .areaTable(.sums), from: source)
      return try put(
        header.encoded.bytes, at: header.range.lowerBound, .areaHeader(.sums), from: source)
    }
  }

  /// Writes anew what closes the areas, where all of them are there.
  mutating func mendClosing(_ image: Image) throws(ImageError) {
    guard image.areas.isDamaged, let start = image.tail?.upperBound else { return }
    var place = start
    while let header = try header(at: place, of: file), try hasTable(of: header, file) {
      place = header.range.upperBound
    }
    guard place > start, try place <= file.end() else { return }
    var output = ByteOutput(at: place)
    AreaClosing(firstArea: start, text: image.description?.text).encode(into: &output)
    let old = try file.readUp(to: output.bytes.count, at: place)
    guard old != output.bytes else { return }
    try put(output.bytes, at: place, .closing, from: nil)
  }
}

extension ImageAreas {
  /// Whether something is wrong with them.
  var isDamaged: Bool { if case .damaged = self { true } else { false } }
}

import LinuxIO
import MappedRAM
import MappedRAMBench
import MappedRAMFormat

extension MeasuredWork {
  /// The scan for zeros, and the comparison of pages, by way of the made-up guest's check.
  static var zeroScan: [MeasuredWork] {
    [("zero", 1.0), ("random", 0.0)].map { (name, fraction) in
      MeasuredWork("Check of 64 MiB of \(name) pages") {
        let pattern = SyntheticPattern(byteCount: 64 << 20, zeroFraction: fraction, seed: 1)
        let guest = try SyntheticGuest(pattern)
        let pages = try MemoryPages(byteCount: 64 << 20)
        try guest.fill(pages, threads: 1)
        return { keep(try guest.check(pages, threads: 1).isGood) }
      }
    } + [
      MeasuredWork("Reading 64 MiB of memory") {
        let memory = try Mapping(anonymousByteCount: 64 << 20)
        _ = try MemoryRate.touch(memory, threads: 1)
        return { keep(try MemoryRate.read(memory, threads: 1)) }
      }
    ]
  }

  /// Bitmaps of a guest of 4 GiB.
  static var bitmaps: [MeasuredWork] {
    let pages = 1 << 20
    let shapes: [(String, @Sendable (Int) -> Bool)] = [
      ("all", { _ in true }), ("none", { _ in false }), ("every second", { $0 % 2 == 0 }),
      ("runs of 256", { $0 / 256 % 2 == 0 }),
    ]
    return shapes.map { (name, isPresent) in
      MeasuredWork("Runs of a bitmap of 1 Mi pages: \(name)") {
        var made = PageBitmap(pageCount: pages)
        for page in 0..<pages where isPresent(page) { made[page] = true }
        let bitmap = made
        return {
          var count = 0
          for run in bitmap.runs { count += run.count }
          keep(count)
        }
      }
    } + [
      MeasuredWork("Parsing a bitmap of 1 Mi pages") {
        var output = ByteOutput()
        var bitmap = PageBitmap(pageCount: pages)
        bitmap.insert(0..<pages / 2)
        bitmap.encode(into: &output)
        let bytes = output.bytes
        return {
          var input = ByteInput(bytes.span)
          keep(try PageBitmap.parse(&input, pageCount: pages, of: "pc.ram").bitmap.population)
        }
      }
    ]
  }

  /// What is read of every image.
  static var parsing: [MeasuredWork] {
    // As long as the description of a q35 with a few devices.
    let device = """
      {"name":"0000:00:02.0/virtio-net","instance_id":0,"vmsd_name":"virtio-net","version":11,"fields":\
      [{"name":"virtio","type":"virtio","size":512},{"name":"mac","array_len":6,"type":"uint8","size":1}]}
      """
    let devices = Array(repeating: device, count: 400).joined(separator: ",")
    let text = Array("{\"page_size\":4096,\"devices\":[\(devices)]}".utf8)
    return [
      MeasuredWork("Parsing a prologue") {
        let prologue = StreamPrologue(
          configuration: Configuration(
            machineType: "pc-q35-10.0",
            subsections: [
              .targetPageBits(12), .capabilities([Configuration.mappedRAMCapability]),
            ]))
        let bytes = prologue.encoded(at: .zero).bytes
        return {
          var input = ByteInput(bytes.span)
          _ = try StreamHeader(parsing: &input)
          keep(try Configuration(parsing: &input))
        }
      },
      MeasuredWork("Parsing JSON of \(text.count) bytes") {
        return { keep(try JSONValue(parsing: text)) }
      },
    ]
  }
}

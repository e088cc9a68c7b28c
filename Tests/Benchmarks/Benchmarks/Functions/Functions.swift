import Benchmark
import LinuxIO
import MappedRAM
import MappedRAMBench
import MappedRAMFormat

/// What is called for every page, or for every image: zero scan, runs of bitmaps, parsing.
///
/// Throughput is of what the name says; wall time is for one round of it.
let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock, .throughput, .instructions], maxDuration: .seconds(2))
  zeroScan()
  bitmaps()
  parsing()
}

/// The scan for zeros, and the comparison of pages, by way of the made-up guest's check.
private func zeroScan() {
  for (name, fraction) in [("zero", 1.0), ("random", 0.0)] {
    Benchmark("Check of 64 MiB of \(name) pages") { benchmark in
      let pattern = SyntheticPattern(byteCount: 64 << 20, zeroFraction: fraction, seed: 1)
      let guest = try SyntheticGuest(pattern)
      let pages = try MemoryPages(byteCount: 64 << 20)
      try guest.fill(pages, threads: 1)
      benchmark.startMeasurement()
      for _ in benchmark.scaledIterations { blackHole(try guest.check(pages, threads: 1).isGood) }
      benchmark.stopMeasurement()
    }
  }
  Benchmark("Reading 64 MiB of memory") { benchmark in
    let memory = try Mapping(anonymousByteCount: 64 << 20)
    _ = try MemoryRate.touch(memory, threads: 1)
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations { blackHole(try MemoryRate.read(memory, threads: 1)) }
    benchmark.stopMeasurement()
  }
}

/// Bitmaps of a guest of 4 GiB.
private func bitmaps() {
  let pages = 1 << 20
  let shapes: [(String, (Int) -> Bool)] = [
    ("all", { _ in true }), ("none", { _ in false }), ("every second", { $0 % 2 == 0 }),
    ("runs of 256", { $0 / 256 % 2 == 0 }),
  ]
  for (name, isPresent) in shapes {
    var bitmap = PageBitmap(pageCount: pages)
    for page in 0..<pages where isPresent(page) { bitmap[page] = true }
    let made = bitmap
    Benchmark("Runs of a bitmap of 1 Mi pages: \(name)") { benchmark in
      for _ in benchmark.scaledIterations {
        var count = 0
        for run in made.runs { count += run.count }
        blackHole(count)
      }
    }
  }
  var output = ByteOutput()
  var bitmap = PageBitmap(pageCount: pages)
  bitmap.insert(0..<pages / 2)
  bitmap.encode(into: &output)
  let bytes = output.bytes
  Benchmark("Parsing a bitmap of 1 Mi pages") { benchmark in
    for _ in benchmark.scaledIterations {
      var input = ByteInput(bytes.span)
      blackHole(try PageBitmap.parse(&input, pageCount: pages, of: "pc.ram").bitmap.population)
    }
  }
}

/// What is read of every image.
private func parsing() {
  let prologue = StreamPrologue(
    configuration: Configuration(
      machineType: "pc-q35-10.0",
      subsections: [.targetPageBits(12), .capabilities([Configuration.mappedRAMCapability])]))
  let bytes = prologue.encoded(at: .zero).bytes
  Benchmark("Parsing a prologue") { benchmark in
    for _ in benchmark.scaledIterations {
      var input = ByteInput(bytes.span)
      _ = try StreamHeader(parsing: &input)
      blackHole(try Configuration(parsing: &input))
    }
  }
  // As long as the description of a q35 with a few devices.
  let device = """
    {"name":"0000:00:02.0/virtio-net","instance_id":0,"vmsd_name":"virtio-net","version":11,"fields":\
    [{"name":"virtio","type":"virtio","size":512},{"name":"mac","array_len":6,"type":"uint8","size":1}]}
    """
  let text = Array(
    "{\"page_size\":4096,\"devices\":[\(Array(repeating: device, count: 400).joined(separator: ","))]}"
      .utf8)
  Benchmark("Parsing JSON of \(text.count) bytes") { benchmark in
    for _ in benchmark.scaledIterations { blackHole(try JSONValue(parsing: text)) }
  }
}

import LinuxIO
import MappedRAM

/// What was measured: a row of the report.
struct BenchRow: Sendable {
  /// What makes it another row than others.
  var key: Key
  /// Bytes of guest memory that one sample is about.
  var ramBytes: UInt64
  /// Bytes of them that are in the image: those that are moved.
  var bytes: UInt64
  /// In the order in which they were taken.
  var samples: [BenchSample] = []
  /// What the requests were made with in the end.
  var method: ChannelOptions.IOMethod?
  /// Whether the page cache was bypassed, as reports name it.
  var directIO: String?
  /// How long the engine's requests took.
  var latencies = BenchLatencies()

  /// What makes a row another one than others.
  struct Key: Hashable, Sendable {
    /// The name of the mixture of pages; empty where there is none.
    var mix: String
    /// What was done.
    var operation: Operation
    /// By whom.
    var contestant: Contestant
    /// With which settings, in the words of the contestant; empty where it has none.
    var settings: String
  }

  /// What is done.
  enum Operation: String, CaseIterable, Sendable {
    /// Memory goes into a file, an image but for fio.
    case save
    /// A file goes into memory.
    case restore
    /// A VM is started on an image itself.
    case map
    /// QEMU is started, and does nothing.
    case start
    /// An image is taken apart into a directory.
    case toDirectory = "to-directory"
    /// An image is built from a directory.
    case fromDirectory = "from-directory"
    /// A file is read while another is written.
    case copy
    /// Memory is looked at.
    case memoryRead = "memory-read"
    /// Fresh memory is touched.
    case memoryTouch = "memory-touch"

    /// Whether it moves bytes from files to files.
    var isBetweenFiles: Bool { [.toDirectory, .fromDirectory, .copy].contains(self) }
  }

  /// Who does it.
  enum Contestant: String, CaseIterable, Sendable {
    case mappedRAM = "mapped-ram"
    case qemu, fio
    /// Plain instructions on all processors.
    case memory
  }
}

/// One run of something, as it was measured and as BenchJSON gives it: a name changed here is a name changed there.
struct BenchSample: Codable, Equatable, Sendable {
  /// From its start to its durable end.
  var seconds: Double
  /// Processor time of whoever did it; `nil` where it was not measured.
  var cpuSeconds: Double?
  /// Processor time of a QEMU that somebody else did it to.
  var qemuCPUSeconds: Double?
  /// The most memory of this process.
  var peakMemoryBytes: UInt64?
  /// Requests, where the engine made any.
  var requests: UInt64?
  /// Bytes that went to or came from the file.
  var fileBytes: UInt64?
  /// How long a VM was paused.
  var pauseSeconds: Double?

  /// All processor time.
  var allCPUSeconds: Double? { cpuSeconds.map { $0 + (qemuCPUSeconds ?? 0) } }
}

extension BenchSample {
  /// A sample of the engine.
  init(_ report: TransferReport) {
    seconds = report.elapsed.inSeconds
    cpuSeconds = report.cpuTime.inSeconds
    peakMemoryBytes = report.peakMemoryBytes
    requests = report.totals.directRequests + report.totals.bufferedRequests
    fileBytes = max(report.totals.bytesRead, report.totals.bytesWritten)
  }
}

extension BenchRow {
  /// Seconds of the samples.
  var seconds: Spread { Spread(samples.map(\.seconds)) }
  /// Bytes of present pages in a second.
  var rate: Spread { Spread(samples.map { Double(bytes) / max($0.seconds, 1e-9) }) }
  /// Bytes of guest memory in a second.
  var ramRate: Spread { Spread(samples.map { Double(ramBytes) / max($0.seconds, 1e-9) }) }
  /// Processor time for 2^30 bytes of present pages, QEMU's as well; `nil` where it is not known or nothing was moved.
  var cpuSecondsPerGiB: Spread? {
    let times = samples.compactMap(\.allCPUSeconds)
    guard bytes > 0, !times.isEmpty else { return nil }
    return Spread(times.map { $0 / (Double(bytes) / NumberText.gibibyte) })
  }
  /// The most memory of any sample.
  var peakMemoryBytes: UInt64? { samples.compactMap(\.peakMemoryBytes).max() }
}

/// Median, least and greatest of some numbers.
struct Spread: Equatable, Sendable {
  var median: Double
  var least: Double
  var greatest: Double

  /// Of `values`, at least one. The median of an even number of them lies between the two in the middle.
  init(_ values: [Double]) {
    precondition(!values.isEmpty, "a value")
    let sorted = values.sorted()
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    least = sorted[0]
    greatest = sorted[sorted.count - 1]
  }
}

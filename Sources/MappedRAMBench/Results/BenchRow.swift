package import LinuxIO
package import MappedRAM
package import MappedRAMFormat

/// What was measured: a row of the report.
package struct BenchRow: Sendable {
  /// What makes it another row than others.
  package var key: Key
  /// Bytes of guest memory that one sample is about.
  package var ramBytes: UInt64
  /// Bytes of them that are in the image: those that are moved.
  package var bytes: UInt64
  /// In the order in which they were taken.
  package var samples: [BenchSample] = []
  /// What the requests were made with in the end.
  package var method: ChannelOptions.IOMethod?
  /// Whether the page cache was bypassed.
  package var directIO: DirectIO?
  /// How long the engine's requests took.
  package var latencies = BenchLatencies()

  /// What makes a row another one than others.
  package struct Key: Equatable, Sendable {
    /// The name of the mixture of pages; empty where there is none.
    package var mix: String
    /// What was done.
    package var operation: Operation
    /// By whom.
    package var contestant: Contestant
    /// With which settings.
    package var settings: Settings
    /// The image's layout, where one was asked for.
    package var layout: SlotLayout?
  }

  /// What a contestant was set to.
  package enum Settings: Equatable, Sendable {
    /// The engine, between files, or with memory that it was given.
    case engine(ChannelOptions)
    /// The engine, out of a VM or into one.
    case capture(ChannelOptions), place(ChannelOptions)
    /// A VM that is started on the image; the time of QEMU's start is part of it.
    case map
    /// QEMU alone, until its first answer.
    case start
    case qemu(channels: Int, isDirect: Bool)
    case fio(depth: Int, blockBytes: UInt64, isDirect: Bool)
    case memory(threads: Int, MemoryWay)
  }

  /// How memory alone is read or written.
  package enum MemoryWay: Sendable {
    /// By instructions.
    case ownProcess
    /// By process_vm_readv and process_vm_writev.
    case processRead, processWrite
  }

  /// What is done.
  package enum Operation: String, CaseIterable, Sendable {
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
    package var isBetweenFiles: Bool { [.toDirectory, .fromDirectory, .copy].contains(self) }
  }

  /// Who does it.
  package enum Contestant: String, CaseIterable, Sendable {
    case mappedRAM = "mapped-ram"
    case qemu, fio
    /// Plain instructions on all processors.
    case memory
  }
}

/// One run of something, as it was measured, and as the JSON of bench gives it: a name changed here is a name changed there.
package struct BenchSample: Codable, Equatable, Sendable {
  /// From its start to its durable end.
  package var seconds: Double
  /// Processor time of whoever did it; `nil` where it was not measured.
  package var cpuSeconds: Double?
  /// Processor time of a QEMU that somebody else did it to.
  package var qemuCPUSeconds: Double?
  /// The most memory of this process.
  package var peakMemoryBytes: UInt64?
  /// Requests, where the engine made any.
  package var requests: UInt64?
  /// Bytes that went to or came from the file.
  package var fileBytes: UInt64?
  /// How long a VM was paused.
  package var pauseSeconds: Double?

  /// All processor time.
  package var allCPUSeconds: Double? { cpuSeconds.map { $0 + (qemuCPUSeconds ?? 0) } }
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
  package var seconds: Spread { Spread(samples.map(\.seconds)) }
  /// Bytes of present pages in a second.
  package var rate: Spread { Spread(samples.map { Double(bytes) / max($0.seconds, 1e-9) }) }
  /// Bytes of guest memory in a second.
  package var ramRate: Spread { Spread(samples.map { Double(ramBytes) / max($0.seconds, 1e-9) }) }
  /// Processor time for 2^30 bytes of present pages, QEMU's as well; `nil` where it is not known or nothing was moved.
  package var cpuSecondsPerGiB: Spread? {
    let times = samples.compactMap(\.allCPUSeconds)
    guard bytes > 0, !times.isEmpty else { return nil }
    return Spread(times.map { $0 / (Double(bytes) / Double(1 << 30)) })
  }
  /// The most memory of any sample.
  package var peakMemoryBytes: UInt64? { samples.compactMap(\.peakMemoryBytes).max() }
}

import LinuxIO
import MappedRAM
import SystemPackage

/// What `mapped-ram bench` says at its end.
struct BenchReport: CommandReport {
  var directory: FilePath
  var seed: UInt64
  var zeroFraction: Double
  var options: ChannelOptions
  var fileSize: UInt64
  var isCacheDropped: Bool
  var write: TransferReport
  var read: TransferReport

  var text: String {
    let size = NumberText.bytes(write.ramBytes)
    let present = NumberText.bytes(write.presentBytes)
    let requestSize = NumberText.bytes(UInt64(options.requestBytes))
    var lines = [
      "\(directory): \(size) of RAM, \(present) present, seed \(seed); every byte came back.",
      "\(NumberText.count(UInt64(options.channels), "channel")), queue depth \(options.queueDepth), requests of "
        + "\(requestSize), \(write.method.rawValue), direct I/O \(write.directIO.name).",
    ]
    for note in Set(write.notes.map(\.text)).union(read.notes.map(\.text)).sorted() {
      lines.append("Note: \(note)")
    }
    if isCacheDropped {
      lines.append("Note: the file was dropped from the page cache before it was read.")
    }
    return lines.map { $0 + "\n" }.joined()
  }

  var table: String {
    var table = TextTable(
      [.text("")]
        + [
          "GiB/s", "RAM GiB/s", "CPU-s/GiB", "seconds", "requests", "direct", "peak memory",
        ].map { .number($0) })
    table.add(row("write", write))
    table.add(row("read", read))
    var text = ""
    table.write { text += $0 }
    return text
  }

  private func row(_ name: String, _ report: TransferReport) -> [String] {
    [
      name, NumberText.significant(report.bytesPerSecond / NumberText.gibibyte),
      NumberText.significant(report.ramBytesPerSecond / NumberText.gibibyte),
      report.cpuSecondsPerGiB.map(NumberText.significant) ?? "-",
      NumberText.significant(report.elapsed.inSeconds),
      "\(report.totals.directRequests + report.totals.bufferedRequests)",
      "\(report.totals.directRequests)", NumberText.bytes(report.peakMemoryBytes),
    ]
  }

  var json: JSON { JSON(self) }

  /// ```json
  /// {
  ///   "cacheDropped" : false,
  ///   "channels" : 2,
  ///   "command" : "bench",
  ///   "directory" : "/var/tmp",
  ///   "fileSize" : 1074823197,
  ///   "queueDepth" : 32,
  ///   "read" : { … },
  ///   "requestBytes" : 1048576,
  ///   "schemaVersion" : 1,
  ///   "seed" : 3735928559,
  ///   "type" : "report",
  ///   "verified" : true,
  ///   "write" : { … },
  ///   "zeroFraction" : 0
  /// }
  /// ```
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = 1
    var command = "bench"
    var directory: String
    var seed: UInt64
    var zeroFraction: Double
    var channels: Int
    var queueDepth: Int
    var requestBytes: Int
    var fileSize: UInt64
    /// Whether the file was dropped from the page cache before it was read, because it was not read past it.
    var cacheDropped: Bool
    /// Always true: without it there is no report.
    var verified = true
    var write: TransferJSON
    var read: TransferJSON

    init(_ report: BenchReport) {
      directory = report.directory.string
      seed = report.seed
      zeroFraction = report.zeroFraction
      channels = report.options.channels
      queueDepth = report.options.queueDepth
      requestBytes = report.options.requestBytes
      fileSize = report.fileSize
      cacheDropped = report.isCacheDropped
      write = TransferJSON(report.write)
      read = TransferJSON(report.read)
    }
  }
}

import LinuxIO
import MappedRAM
import MappedRAMFormat

extension TransferReport {
  /// Bytes of present pages in a second, from the start to the durable end.
  var bytesPerSecond: Double { Double(presentBytes) / max(elapsed.inSeconds, 1e-9) }

  /// Bytes of guest memory in a second, zero pages included.
  var ramBytesPerSecond: Double { Double(ramBytes) / max(elapsed.inSeconds, 1e-9) }

  /// Processor time for 2^30 bytes of present pages; `nil` where there are none.
  var cpuSecondsPerGiB: Double? {
    presentBytes > 0 ? cpuTime.inSeconds / (Double(presentBytes) / NumberText.gibibyte) : nil
  }

  /// A line on what it took, and one for each device, and for each thing that went other than asked for.
  var text: String {
    var lines = [
      "\(NumberText.bytes(presentBytes)) of \(NumberText.bytes(ramBytes)) of RAM present; "
        + "\(NumberText.duration(elapsed))\(speed)"
    ]
    for device in devices {
      lines.append(
        "device \(device.identity): \(NumberText.bytes(device.byteCount)) in "
          + "\(NumberText.count(UInt64(device.buffers), "buffer")), at most \(device.peakBuffers) in memory"
      )
    }
    for note in notes { lines.append("Note: \(note.text)") }
    return lines.map { "  \($0)\n" }.joined()
  }
}

extension TransferReport {
  /// A line on how it was done.
  var details: String {
    let requests = totals.directRequests + totals.bufferedRequests
    return
      "  \(NumberText.count(requests, "request")) by \(method.rawValue), \(totals.directRequests) of them direct; "
      + "peak memory \(NumberText.bytes(peakMemoryBytes))\n"
  }

  /// Rate and cost, unless so little was moved that the process's own start is most of both.
  private var speed: String {
    guard presentBytes >= 64 << 20, let cpuSecondsPerGiB else { return "" }
    return ", \(NumberText.rate(bytesPerSecond: bytesPerSecond)), "
      + "\(NumberText.significant(cpuSecondsPerGiB)) CPU-seconds per GiB"
  }
}

/// A transfer as programs get it: raw numbers.
struct TransferJSON: Encodable, Equatable {
  var ramBytes: UInt64
  var presentBytes: UInt64
  var bytesRead: UInt64
  var bytesWritten: UInt64
  var directRequests: UInt64
  var bufferedRequests: UInt64
  var method: String
  var directIO: String
  var elapsedSeconds: Double
  var cpuSeconds: Double
  var bytesPerSecond: Double
  var ramBytesPerSecond: Double
  @OrNull var cpuSecondsPerGiB: Double?
  var peakMemoryBytes: UInt64
  var notes: [Finding]
  var devices: [Device]

  struct Device: Encodable, Equatable {
    var idstr: String
    var instanceID: UInt32
    var byteCount: UInt64
    var buffers: Int
    var peakBuffers: Int
  }

  init(_ report: TransferReport) {
    ramBytes = report.ramBytes
    presentBytes = report.presentBytes
    bytesRead = report.totals.bytesRead
    bytesWritten = report.totals.bytesWritten
    directRequests = report.totals.directRequests
    bufferedRequests = report.totals.bufferedRequests
    method = report.method.rawValue
    directIO = report.directIO.name
    elapsedSeconds = report.elapsed.inSeconds
    cpuSeconds = report.cpuTime.inSeconds
    bytesPerSecond = report.bytesPerSecond
    ramBytesPerSecond = report.ramBytesPerSecond
    cpuSecondsPerGiB = report.cpuSecondsPerGiB
    peakMemoryBytes = report.peakMemoryBytes
    notes = report.notes.map(\.finding)
    devices = report.devices.map { device in
      Device(
        idstr: device.identity.idstr, instanceID: device.identity.instanceID,
        byteCount: device.byteCount, buffers: device.buffers, peakBuffers: device.peakBuffers)
    }
  }
}

extension TransferReport {
  /// A line on a transfer that QEMU carried out.
  var textOfQEMU: String {
    "  \(NumberText.bytes(presentBytes)) of \(NumberText.bytes(ramBytes)) of RAM present; "
      + "\(NumberText.duration(elapsed)), \(NumberText.rate(bytesPerSecond: bytesPerSecond))\n"
  }
}

extension ChannelNote {
  /// What was asked for, what was done in its place, and why.
  var text: String {
    switch self {
    case .ioUringRefused(let error):
      "pread and pwrite were used in place of io_uring: \(error)"
    case .buffersNotRegistered(let error):
      "Buffers are not registered with the ring, so each request maps its own: \(error)"
    case .directIORefused(let path, let refusal):
      "\(path): the page cache was used in place of direct I/O: \(refusal)."
    }
  }
}

extension DirectIO {
  /// A name for programs.
  var name: String {
    switch self {
    case .active: "active"
    case .refused: "refused"
    case .off: "off"
    }
  }
}

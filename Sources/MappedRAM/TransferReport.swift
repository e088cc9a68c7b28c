public import LinuxIO
public import MappedRAMFormat

/// What a save or restore did, how long it took and what it cost.
public struct TransferReport: Equatable, Sendable {
  /// Where the image ends: the length of a file that holds nothing else. (On a device that another program wrote to, the device's end.)
  public var imageEnd: FileOffset = .zero
  /// Bytes of guest memory in all blocks.
  public var ramBytes: UInt64
  /// Bytes of the pages that are present in the image.
  public var presentBytes: UInt64
  /// What the channels moved.
  public var totals: TransferTotals
  /// Where the channels could not work as they were asked to.
  public var notes: [ChannelNote]
  /// What the requests were made with in the end.
  public var method: ChannelOptions.IOMethod
  /// Whether pages of the image bypassed the page cache.
  public var directIO: DirectIO
  /// From the start to the durable end.
  public var elapsed: Duration
  /// Processor time of this process in that time.
  public var cpuTime: Duration
  /// The most memory that this process ever had, in bytes.
  public var peakMemoryBytes: UInt64
  /// Whether the image was given checksums of its contents.
  public var hasChecksums = false
  /// What the image shares with an earlier one; `nil` where that was not wanted.
  public var base: BaseReport?
  /// What became of devices' states.
  public var devices: [DeviceReport] = []
  /// How the rounds of a live save went; `nil` for other work.
  public var live: LiveReport?
  /// What was sent of a VM that ran while it was saved as it was at one moment; `nil` for other work.
  public var sent: SentReport?
}

/// Measures from its making on.
package struct Stopwatch: Sendable {
  private let start = ContinuousClock.now
  private let usage = ResourceUsage.current()

  /// Starts.
  package init() {}

  /// The report of a transfer of all of `image` to or from `file` that somebody else carried out, and that is over now: how much it
  /// was and how long it took. No requests are in it, and of the processor time only this process's.
  package func report(of image: Image, in file: File) -> TransferReport {
    report(
      ramBytes: image.ramBytes, presentBytes: image.presentBytes, channels: .idle,
      options: ChannelOptions(method: .sync), image: file, end: image.fileSize)
  }

  /// The report of a transfer that is over now.
  func report(
    ramBytes: UInt64, presentBytes: UInt64, channels: ChannelReport, options: ChannelOptions,
    image: File, end: FileOffset, devices: [DeviceReport] = [], live: LiveReport? = nil,
    sent: SentReport? = nil
  ) -> TransferReport {
    let used = ResourceUsage.current().since(usage)
    let isRefused = channels.notes.contains {
      if case .ioUringRefused = $0 { true } else { false }
    }
    return TransferReport(
      imageEnd: end, ramBytes: ramBytes, presentBytes: presentBytes, totals: channels.totals,
      notes: channels.notes,
      method: isRefused ? .sync : options.method, directIO: image.directIO,
      elapsed: ContinuousClock.now - start, cpuTime: used.cpuTime,
      peakMemoryBytes: used.maximumResidentBytes, devices: devices, live: live,
      sent: sent)
  }
}

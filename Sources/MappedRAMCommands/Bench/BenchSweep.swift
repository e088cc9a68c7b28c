import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl

/// How the engine is to work: the same options as those of save, each with one value or several. Every combination is measured.
struct BenchSweep: ParsableArguments {
  typealias Limits = ChannelArguments.Limits

  @Option(
    help: ArgumentHelp(
      "Threads that move data; each \(Limits.channels).", valueName: "numbers"))
  var channels = ListArgument([ChannelOptions.standard.channels])

  @Option(
    help: ArgumentHelp(
      "Requests that each channel keeps under way at most; each \(Limits.queueDepth).",
      valueName: "numbers"))
  var queueDepth = ListArgument([ChannelOptions.standard.queueDepth])

  @Option(
    help: ArgumentHelp(
      "Bytes in a request at most: powers of two, \(Limits.requestSize).", valueName: "sizes"))
  var requestSize = ListArgument([ByteSize(UInt64(ChannelOptions.standard.requestBytes))])

  @Option(
    help: ArgumentHelp(
      "What requests are made with: io_uring, sync, or both.", valueName: "methods"))
  var io = ListArgument([ChannelOptions.standard.method])

  @Option(
    help: ArgumentHelp(
      "Whether pages bypass the page cache: auto, required, off, or several of them.",
      valueName: "policies"))
  var directIO = ListArgument([ChannelOptions.standard.directIO])

  @Option(
    help: ArgumentHelp(
      """
      Where each block's pages begin in images: 1M, 2M, or both, each measured. (default: 1M; in captures of a QEMU \
      \(VMSave.capturedLayout.rawValue))
      """, valueName: "layouts"))
  var layout: ListArgument<SlotLayout>?

  /// The layouts; `nil` for the one that a save has of itself.
  var layouts: [SlotLayout?] { layout?.elements ?? [nil] }

  func validate() throws {
    for channels in channels.elements {
      guard ChannelOptions.channelsRange.contains(channels) else {
        throw ValidationError("--channels has \(channels); expected \(Limits.channels).")
      }
    }
    for queueDepth in queueDepth.elements {
      guard ChannelOptions.queueDepthRange.contains(queueDepth) else {
        throw ValidationError("--queue-depth has \(queueDepth); expected \(Limits.queueDepth).")
      }
    }
    for size in requestSize.elements {
      guard let bytes = Int(exactly: size.byteCount),
        ChannelOptions.requestBytesRange.contains(bytes), bytes.nonzeroBitCount == 1
      else {
        throw ValidationError(
          "--request-size has \(size); expected a power of two, \(Limits.requestSize).")
      }
    }
  }

  /// Every combination, once the options have been validated.
  var combinations: [ChannelOptions] {
    var all: [ChannelOptions] = []
    for directIO in directIO.elements {
      for method in io.elements {
        for requestSize in requestSize.elements {
          for queueDepth in queueDepth.elements {
            for channels in channels.elements {
              all.append(
                ChannelOptions(
                  channels: channels, queueDepth: queueDepth,
                  requestBytes: Int(requestSize.byteCount), method: method, directIO: directIO))
            }
          }
        }
      }
    }
    return all
  }
}

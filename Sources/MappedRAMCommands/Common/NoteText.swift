import LinuxIO
import MappedRAM

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

  /// A name for programs.
  var name: String {
    switch self {
    case .ioUringRefused: "ioUringRefused"
    case .buffersNotRegistered: "buffersNotRegistered"
    case .directIORefused: "directIORefused"
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

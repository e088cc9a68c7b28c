import Glibc
import LinuxIO
import LinuxProcesses
import SystemPackage

/// A process that only waits, and ends with its owner.
final class IdleProcess {
  let processID: Int32
  private var isOver = false

  init() throws {
    var number: pid_t = 0
    let words: [UnsafeMutablePointer<CChar>?] = unsafe [strdup("sleep"), strdup("600")]
    defer { unsafe words.forEach { unsafe free($0) } }
    // SAFETY: the words end with a nil, and live for the call.
    let arguments = unsafe words + [nil]
    let result = unsafe posix_spawnp(&number, "sleep", nil, nil, arguments, environ)
    guard result == 0 else { throw Errno(rawValue: result) }
    processID = number
    // The heap comes last: until then the mappings are those of this process, or of the loader.
    while try heap == nil || MemoryMap.all(of: number).first?.path.contains("sleep") != true {
      usleep(1000)
    }
  }

  /// The addresses of its heap, which is private memory.
  var heap: Range<UInt64>? {
    get throws { try MemoryMap.all(of: processID).first { $0.path == "[heap]" }?.addresses }
  }

  func end() {
    guard !isOver else { return }
    isOver = true
    kill(processID, SIGKILL)
    waitpid(processID, nil, 0)
  }

  deinit { end() }
}

extension Mapping {
  /// Its addresses in this process.
  var addresses: Range<UInt64> {
    let start = UInt64(UInt(bitPattern: unsafe baseAddress))
    return start..<start + UInt64(byteCount)
  }
}

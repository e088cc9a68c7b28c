import Glibc
import SystemPackage

/// The machine's memory and processors.
package enum Machine {
  /// Processors that this process may use.
  package static var processors: Int {
    let line = (try? ProcessText.lines(of: "/proc/self/status"))?.first {
      $0.starts(with: "Cpus_allowed:".utf8)
    }
    // A mask in hexadecimal digits, with commas between.
    let digits = line?.dropFirst("Cpus_allowed:".utf8.count) ?? []
    let count = digits.reduce(0) { count, digit in
      count + (Character(UnicodeScalar(digit)).hexDigitValue?.nonzeroBitCount ?? 0)
    }
    return max(min(count, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))), 1)
  }

  /// Bytes that programs may still use without swapping (proc_meminfo(5), MemAvailable); `nil` where the kernel does not say.
  package static var availableMemory: UInt64? { memory("MemAvailable:") }

  /// Bytes of memory.
  package static var totalMemory: UInt64? { memory("MemTotal:") }

  private static func memory(_ name: String) -> UInt64? {
    let line = (try? ProcessText.lines(of: "/proc/meminfo"))?.first { $0.starts(with: name.utf8) }
    guard let line, let number = UInt64(String(decoding: line, as: UTF8.self).filter(\.isNumber))
    else { return nil }
    return number * 1024
  }

  /// The kernel's release: `6.12.9`.
  package static var kernel: String {
    let line = (try? ProcessText.lines(of: "/proc/sys/kernel/osrelease"))?.first ?? []
    return String(decoding: line, as: UTF8.self)
  }

  /// The host's name, as this process sees it.
  package static var hostName: String {
    let line = (try? ProcessText.lines(of: "/proc/sys/kernel/hostname"))?.first ?? []
    return String(decoding: line, as: UTF8.self)
  }

  /// The processor's name, as the kernel knows it; `nil` where it does not say.
  package static var processorName: String? {
    let line = (try? ProcessText.lines(of: "/proc/cpuinfo"))?.first {
      $0.starts(with: "model name".utf8)
    }
    let name = line?.split(separator: UInt8(ascii: ":"), maxSplits: 1).last
    return name.map { String(decoding: $0.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self) }
  }
}

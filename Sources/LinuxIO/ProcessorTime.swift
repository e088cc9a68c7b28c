import Glibc
import SystemPackage

/// What another process has used of the processors.
public enum ProcessorTime {
  /// The time of all threads of process `processID` so far, in its own code and in the kernel, in steps of a tick (10 ms).
  ///
  /// From /proc/PID/stat, fields 14 and 15 (proc_pid_stat(5)).
  ///
  /// - Throws: ENOENT where there is no such process.
  public static func used(by processID: Int32) throws(SystemCallError) -> Duration {
    let path = FilePath("/proc/\(processID)/stat")
    let line = try ProcessText.lines(of: path).first ?? []
    // The program's name stands in parentheses, and may have spaces and parentheses itself.
    let rest = line.lastIndex(of: UInt8(ascii: ")")).map { line[($0 + 1)...] } ?? []
    let fields = rest.split(separator: UInt8(ascii: " "))
    func ticks(_ field: Int) -> Int64? {
      // The field behind the name is number 3.
      guard fields.indices.contains(field - 3) else { return nil }
      return Int64(String(decoding: fields[field - 3], as: UTF8.self))
    }
    guard let user = ticks(14), let system = ticks(15) else {
      throw SystemCallError(call: .read, errno: .invalidArgument, subject: .file(path))
    }
    return .seconds(Double(user + system) / Double(sysconf(Int32(_SC_CLK_TCK))))
  }
}

extension ResourceUsage {
  /// Lets `maximumResidentBytes` begin anew with what is resident now (proc(5), clear_refs).
  ///
  /// - Throws: what writing there gives; before Linux 4.0, and in some containers, it is refused.
  public static func forgetMaximum() throws(SystemCallError) {
    let path: FilePath = "/proc/self/clear_refs"
    let descriptor = try openDescriptor(path, flags: O_WRONLY)
    let byte: [UInt8] = [UInt8(ascii: "5")]
    _ = try retryingInterrupted(.write, .file(path)) {
      // SAFETY: one byte of this function's own.
      unsafe byte.withUnsafeBytes { unsafe write(descriptor.rawValue, $0.baseAddress, 1) }
    }
  }
}

/// The machine's memory and processors.
public enum Machine {
  /// Processors that this process may use.
  public static var processors: Int {
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
  public static var availableMemory: UInt64? { memory("MemAvailable:") }

  /// Bytes of memory.
  public static var totalMemory: UInt64? { memory("MemTotal:") }

  private static func memory(_ name: String) -> UInt64? {
    let line = (try? ProcessText.lines(of: "/proc/meminfo"))?.first { $0.starts(with: name.utf8) }
    guard let line, let number = UInt64(String(decoding: line, as: UTF8.self).filter(\.isNumber))
    else { return nil }
    return number * 1024
  }

  /// The kernel's release: `6.12.9`.
  public static var kernel: String {
    let line = (try? ProcessText.lines(of: "/proc/sys/kernel/osrelease"))?.first ?? []
    return String(decoding: line, as: UTF8.self)
  }

  /// The processor's name, as the kernel knows it; `nil` where it does not say.
  public static var processorName: String? {
    let line = (try? ProcessText.lines(of: "/proc/cpuinfo"))?.first {
      $0.starts(with: "model name".utf8)
    }
    let name = line?.split(separator: UInt8(ascii: ":"), maxSplits: 1).last
    return name.map { String(decoding: $0.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self) }
  }
}

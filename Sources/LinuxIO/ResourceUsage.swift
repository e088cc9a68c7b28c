import Glibc

/// What the process has used so far, from getrusage(2) with RUSAGE_SELF.
public struct ResourceUsage: Equatable, Sendable {
  /// CPU time in the process's own code, of all its threads.
  public var userTime: Duration
  /// CPU time in the kernel on behalf of the process. The kernel's own workers, such as those of
  /// io_uring, are threads of the process and count.
  public var systemTime: Duration
  /// The most memory that was ever resident, in bytes. It never falls.
  public var maximumResidentBytes: UInt64

  /// CPU time altogether.
  public var cpuTime: Duration { userTime + systemTime }

  /// The figures of now.
  public static func current() -> ResourceUsage {
    var usage = rusage()
    // SAFETY: `usage` is filled and not kept.
    let result = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    precondition(result == 0, "getrusage fails for wrong arguments alone")
    return ResourceUsage(
      userTime: duration(usage.ru_utime), systemTime: duration(usage.ru_stime),
      // Linux gives kilobytes of 1024 bytes (getrusage(2)).
      maximumResidentBytes: UInt64(usage.ru_maxrss) * 1024)
  }

  /// What was used since `earlier`: the times as differences, the memory as it is now.
  public func since(_ earlier: ResourceUsage) -> ResourceUsage {
    ResourceUsage(
      userTime: userTime - earlier.userTime, systemTime: systemTime - earlier.systemTime,
      maximumResidentBytes: maximumResidentBytes)
  }

  private static func duration(_ time: timeval) -> Duration {
    .seconds(time.tv_sec) + .microseconds(time.tv_usec)
  }
}

import Glibc
public import LinuxIO
import SystemPackage

extension Ring {
  /// Whether this process may use io_uring, and why not.
  public enum Availability: Equatable, Sendable {
    /// A ring was made.
    case available
    /// A ring could not be made. `disabledSetting` is the sysctl kernel.io_uring_disabled: 0
    /// allowed, 1 for CAP_SYS_ADMIN and one group alone, 2 for nobody; nil where it cannot be read
    /// (it came with Linux 6.6).
    case unavailable(SystemCallError, disabledSetting: Int?)
  }

  /// Tries to make a small ring.
  public static func probe() -> Availability {
    do throws(SystemCallError) {
      let ring = try Ring(entries: 1)
      ring.close()
      return .available
    } catch {
      return .unavailable(error, disabledSetting: disabledSetting())
    }
  }

  private static func disabledSetting() -> Int? {
    let path = FilePath("/proc/sys/kernel/io_uring_disabled")
    do throws(SystemCallError) {
      let file = try File.open(path, access: .read, directIO: .off)
      let text = String(decoding: try file.readBytes(at: 0, count: 16), as: UTF8.self)
      return Int(text.prefix { $0.isNumber })
    } catch {
      return nil
    }
  }
}

extension Ring.Availability: CustomStringConvertible {
  /// "available", or a sentence with the reason and what to do.
  public var description: String {
    switch self {
    case .available: "available"
    case .unavailable(_, .some(let setting)) where setting > 0:
      "kernel.io_uring_disabled is \(setting): "
        + (setting == 1 ? "only privileged processes" : "nobody")
        + " may use io_uring. Set it to 0 (sysctl kernel.io_uring_disabled=0)."
    case .unavailable(let error, _): error.description
    }
  }
}

/// In a file without CLiburing, whose declarations and Glibc's are ambiguous together.
func pauseForMillisecond() { usleep(1000) }

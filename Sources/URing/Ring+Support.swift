import CLiburing
package import LinuxIO
import SystemPackage

extension Ring {
  /// Whether this process may use io_uring, and why not.
  package enum Availability: Equatable, Sendable {
    /// A ring was made.
    case available
    /// A ring could not be made. `disabledSetting` is the sysctl kernel.io_uring_disabled: 0
    /// allowed, 1 for CAP_SYS_ADMIN and one group alone, 2 for nobody; nil where it cannot be read
    /// (it came with Linux 6.6).
    case unavailable(SystemCallError, disabledSetting: Int?)
  }

  /// Tries to make a small ring.
  package static func probe() -> Availability {
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
  package var description: String {
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

extension Ring {
  /// What the kernel says that its io_uring can do: the names of its IORING_FEAT_ flags, and
  /// `defer-taskrun` where a ring can be told to complete requests when it is asked.
  ///
  /// - Throws: what io_uring_setup(2) gives where there is none.
  package static func features() throws(SystemCallError) -> [String] {
    let plain = setUp(flags: 0)
    guard plain.result == 0 else {
      throw SystemCallError(
        call: .io_uring_setup, errno: Errno(rawValue: -plain.result), subject: .ring)
    }
    var found: [String] = []
    for (bit, name) in names.enumerated() where plain.features & 1 << UInt32(bit) != 0 {
      found.append(name)
    }
    let deferred = setUp(
      flags: UInt32(IORING_SETUP_SINGLE_ISSUER) | UInt32(IORING_SETUP_DEFER_TASKRUN))
    if deferred.result == 0 { found.append("defer-taskrun") }
    return found
  }

  /// In the order of their bits (linux/io_uring.h).
  private static let names = [
    "single-mmap", "nodrop", "submit-stable", "rw-cur-pos", "cur-personality", "fast-poll",
    "poll-32bits", "sqpoll-nonfixed", "ext-arg", "native-workers", "rsrc-tags", "cqe-skip",
    "linked-file",
  ]

  /// Makes a ring and drops it.
  private static func setUp(flags: UInt32) -> (result: Int32, features: UInt32) {
    var ring = unsafe io_uring()
    var parameters = io_uring_params()
    parameters.flags = flags
    // SAFETY: both are this function's own, and the ring is gone before it returns.
    let result = unsafe io_uring_queue_init_params(1, &ring, &parameters)
    if result == 0 { unsafe io_uring_queue_exit(&ring) }
    return (result, parameters.features)
  }
}

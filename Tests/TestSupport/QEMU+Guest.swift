import Foundation
import SystemPackage

extension QEMU {
  /// The lines that the boot-sector guest has printed so far.
  package func guestLines() throws -> [BootSectorGuest.Line] {
    try BootSectorGuest.lines(of: serial)
  }

  /// Waits until the guest has printed `count` lines here, and gives all of them.
  @discardableResult
  package func waitForGuestLines(_ count: Int) throws -> [BootSectorGuest.Line] {
    try wait(for: "\(count) lines of the guest") {
      serial.utf8.count { $0 == 0x0A } >= count
    }
    return try guestLines()
  }

  /// Stops the processors.
  package func stop() throws { try execute("stop") }

  /// Lets the processors run (QMP `cont`).
  package func resume() throws { try execute("cont") }

  /// `running`, `paused`, `inmigrate`, `postmigrate`, …
  package func status() throws -> String {
    let answer = try execute("query-status") as? [String: Any]
    return answer?["status"] as? String ?? ""
  }

  /// `count` bytes of guest-physical memory from `address` on, as QEMU itself saves them
  /// (`pmemsave`).
  package func physicalMemory(at address: UInt64, count: Int) throws -> [UInt8] {
    let path = directory.file("pmemsave")
    defer { try? FileManager.default.removeItem(atPath: path.string) }
    try execute("pmemsave", ["val": address, "size": count, "filename": path.string])
    guard let data = FileManager.default.contents(atPath: path.string) else {
      throw HarnessError("\(path) is not there")
    }
    return [UInt8](data)
  }

  /// The answer to a command of the human monitor.
  package func humanMonitor(_ line: String) throws -> String {
    let answer = try execute("human-monitor-command", ["command-line": line])
    return answer as? String ?? ""
  }
}

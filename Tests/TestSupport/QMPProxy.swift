import Foundation
public import SystemPackage

/// A proxy between the code under test and QEMU, ended when the last reference goes: `Tests/Reference/qmp_proxy.py` tells how it can
/// disturb them.
public final class QMPProxy {
  /// Where it listens.
  public let socket: FilePath
  private let process = Process()
  private let directory: TemporaryDirectory

  /// What happens to a command.
  public struct Rule: Encodable {
    /// The command's name.
    public var command: String
    /// Which of them, counted from 1; `nil` for each.
    public var nth: Int?
    /// `pass`, `drop`, `refuse` or `close`.
    public var `do`: String?
    /// How long it waits first.
    public var seconds: Double?

    /// A rule of its parts.
    public init(
      _ command: String, nth: Int? = nil, do action: String? = nil, seconds: Double? = nil
    ) {
      self.command = command
      self.nth = nth
      self.do = action
      self.seconds = seconds
    }
  }

  /// Starts one before `qemu`.
  public init(before qemu: QEMU, _ rules: [Rule]) throws {
    directory = try TemporaryDirectory()
    socket = directory.file("proxy")
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "python3", Repository.file("Tests/Reference/qmp_proxy.py").string, socket.string,
      qemu.qmpSocket.string, String(decoding: try JSONEncoder().encode(rules), as: UTF8.self),
    ]
    try process.run()
    let deadline = ContinuousClock.now + .seconds(60)
    while !FileManager.default.fileExists(atPath: socket.string) {
      guard process.isRunning, ContinuousClock.now < deadline else {
        throw HarnessError("the proxy does not begin")
      }
      usleep(5000)
    }
  }

  deinit {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }
}

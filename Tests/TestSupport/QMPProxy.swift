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
    /// How many of them, from the first on; `nil` for no such limit.
    public var first: Int?
    /// `pass`, `drop`, `refuse` or `close`.
    public var `do`: String?
    /// How long it waits, after `before`.
    public var seconds: Double?
    /// A file that is made when that begins.
    public var reached: String?
    /// A file that ends it once it is there.
    public var until: String?
    /// What another client carries out before.
    public var before: [Action]?
    /// The socket of that client.
    public var actor: String?

    /// A command of another client.
    public struct Action: Encodable {
      var name: String
      var arguments: [String: String]

      /// A command with texts as its arguments.
      public init(_ name: String, _ arguments: [String: String] = [:]) {
        (self.name, self.arguments) = (name, arguments)
      }

      /// As a list of the name and the arguments.
      public func encode(to encoder: any Encoder) throws {
        var list = encoder.unkeyedContainer()
        try list.encode(name)
        try list.encode(arguments)
      }
    }

    /// A rule of its parts.
    public init(
      _ command: String, nth: Int? = nil, first: Int? = nil, do action: String? = nil,
      seconds: Double? = nil, reached: FilePath? = nil, until: FilePath? = nil,
      before: [Action]? = nil, over actor: FilePath? = nil
    ) {
      self.command = command
      self.nth = nth
      self.first = first
      self.do = action
      self.seconds = seconds
      self.reached = reached?.string
      self.until = until?.string
      self.before = before
      self.actor = actor?.string
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

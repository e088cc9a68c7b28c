import Foundation
package import SystemPackage

/// A proxy between the code under test and QEMU, ended when the last reference goes: `Tests/Reference/qmp_proxy.py` tells how it can
/// disturb them.
package final class QMPProxy {
  /// Where it listens.
  package let socket: FilePath
  private let process = Process()
  private let directory: TemporaryDirectory

  /// What happens to a command.
  package struct Rule: Encodable {
    /// The command's name.
    package var command: String
    /// Which of them, counted from 1; `nil` for each.
    package var nth: Int?
    /// How many of them, from the first on; `nil` for no such limit.
    package var first: Int?
    /// `pass`, `drop`, `refuse`, `close`, `late` or `kill`.
    package var `do`: String?
    /// How long it waits, after `before`.
    package var seconds: Double?
    /// A file that is made when that begins.
    package var reached: String?
    /// A file that ends it once it is there.
    package var until: String?
    /// What another client carries out before.
    package var before: [Action]?
    /// The socket of that client.
    package var actor: String?

    /// A command of another client.
    package struct Action: Encodable {
      var name: String
      var arguments: [String: String]

      /// A command with texts as its arguments.
      package init(_ name: String, _ arguments: [String: String] = [:]) {
        (self.name, self.arguments) = (name, arguments)
      }

      /// As a list of the name and the arguments.
      package func encode(to encoder: any Encoder) throws {
        var list = encoder.unkeyedContainer()
        try list.encode(name)
        try list.encode(arguments)
      }
    }

    /// A rule of its parts.
    package init(
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
  package init(before qemu: QEMU, _ rules: [Rule]) throws {
    directory = try TemporaryDirectory()
    socket = directory.file("proxy")
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      Self.program + [socket.string, qemu.qmpSocket.string, try Self.text(rules)]
    try process.run()
    let deadline = ContinuousClock.now + .seconds(60)
    while !FileManager.default.fileExists(atPath: socket.string) {
      guard process.isRunning, ContinuousClock.now < deadline else {
        throw HarnessError("the proxy does not begin")
      }
      usleep(5000)
    }
  }

  /// What stands before the command line of a QEMU that `mapped-ram restore` starts, for a proxy between the two.
  package static func words(_ rules: [Rule]) throws -> [String] {
    program + ["--before", try text(rules)]
  }

  private static let program = [
    "python3", Repository.file("Tests/Reference/qmp_proxy.py").string,
  ]

  private static func text(_ rules: [Rule]) throws -> String {
    String(decoding: try JSONEncoder().encode(rules), as: UTF8.self)
  }

  deinit {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }
}

import Foundation
import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import SystemPackage
import TestSupport
import Testing

/// The built command waits for a QEMU that says nothing: the time that it has, and a signal, end that at once.
@Suite struct WaitingTests {
  private let directory: TemporaryDirectory
  private let image: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("microvm").unpack(into: directory)
  }

  /// What is waited for.
  enum Silence: CaseIterable {
    /// The program that listens takes the connection, and says nothing.
    case noGreeting
    /// It takes no more connections.
    case noConnection
    /// A QEMU that is started has not come to its monitor yet.
    case slowStart
  }

  /// The verbs that wait, with the words that follow them.
  private func commands(_ silence: Silence, _ socket: FilePath) -> [[String]] {
    guard silence != .slowStart else {
      return [["restore", image.string, "--", "sh", "-c", "exec sleep 20", "-m", "4"]]
    }
    return [
      ["save", socket.string, directory.file("new.img").string],
      ["restore", image.string, socket.string], ["inspect", socket.string],
    ]
  }

  /// Listens in such a way.
  private func listen(_ silence: Silence, _ socket: FilePath) throws -> [AnyObject] {
    let listener = try UnixListener(at: socket, backlog: silence == .noConnection ? 0 : 8)
    guard silence == .noConnection else { return [listener] }
    return [listener, try UnixSocket.connect(to: socket)]
  }

  @Test(arguments: Silence.allCases)
  func theTimeEndsIt(_ silence: Silence) throws {
    let socket = directory.file("silent.qmp")
    let listening = try listen(silence, socket)
    let before = try directory.names()
    for words in commands(silence, socket) {
      let start = ContinuousClock.now
      let result = try Tool.run([words[0], "--timeout", "0.5"] + words.dropFirst())
      #expect(result.status == 75, "\(words): \(result.errors)")
      #expect(ContinuousClock.now - start < .seconds(6), "\(words)")
      #expect(result.errors.hasPrefix("Error: Timed out after 0.500 s (--timeout)"), "\(words)")
      #expect(try directory.names() == before)
    }
    withExtendedLifetime(listening) {}
  }

  @Test(arguments: Silence.allCases)
  func aSignalEndsIt(_ silence: Silence) throws {
    let socket = directory.file("silent.qmp")
    let listening = try listen(silence, socket)
    for words in commands(silence, socket) where words[0] != "inspect" {
      let tool = try RunningTool(words)
      try tool.wait(for: "the signals") { try tool.blocks(SIGINT) }
      usleep(200_000)
      let start = ContinuousClock.now
      tool.send(SIGINT)
      #expect(try tool.wait() == 130, "\(words): \(tool.errors)")
      #expect(ContinuousClock.now - start < .seconds(6), "\(words)")
      #expect(tool.errors.contains("Interrupted"), "\(words): \(tool.errors)")
    }
    withExtendedLifetime(listening) {}
  }
}

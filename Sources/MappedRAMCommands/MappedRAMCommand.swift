public import ArgumentParser
import LinuxIO
import QEMUControl

/// The command `mapped-ram`: its verbs are its subcommands.
public struct MappedRAMCommand: ParsableCommand {
  /// What the help says.
  public static let configuration = CommandConfiguration(
    commandName: "mapped-ram",
    abstract: "Puts virtual machines into QEMU's mapped-ram images and gets them back.",
    discussion: """
      A mapped-ram image holds a stopped virtual machine: its memory, each page at a fixed place, and the state of its \
      devices. QEMU 9.0 and later write and load such images; so does libvirt 11 ("virsh save --image-format sparse").

      Data goes to standard output, all else to standard error. Every command takes --json for programs.

      \(ExitStatus.help())
      """,
    version: "mapped-ram 0.1.0",
    subcommands: [
      InspectCommand.self, RestoreCommand.self, SaveCommand.self, CompactCommand.self,
      BenchCommand.self,
      HolderCommand.self,
    ])

  /// A command without arguments.
  public init() {}

  /// Runs the command that the process's arguments ask for, and ends the process.
  public static func run() -> Never {
    if CommandLine.arguments.dropFirst() == [VMWatchdog.verb] {
      VMWatchdog.run()
      exit()
    }
    Console.ignoreBrokenPipes()
    OpenFiles.raiseLimit()
    do {
      var command = try parseAsRoot()
      try command.run()
      exit()
    } catch {
      let (message, status) = (fullMessage(for: error), exitCode(for: error))
      // Help, and what completes arguments in a shell, is our own text.
      guard !message.isEmpty, !status.isSuccess else { exit(withError: error) }
      Console.writeError(message + "\n")
      exit(withError: status)
    }
  }
}

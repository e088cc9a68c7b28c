public import ArgumentParser
import LinuxIO
import QEMUControl

/// The command `mapped-ram`: its verbs are its subcommands.
public struct MappedRAMCommand: ParsableCommand {
  /// What the help says.
  public static let configuration = CommandConfiguration(
    commandName: "mapped-ram",
    abstract: "Save running QEMU VMs to files, and restore them.",
    discussion: """
      A mapped-ram image holds a stopped virtual machine: its memory, each page at a fixed place, and the state of its \
      devices, but not its disks. QEMU 9.0 and later write and load such images; so does libvirt 11 ("virsh save --image-format sparse").

      In every command the source comes first, then the target. Results go to stdout; progress, reports and errors to stderr. Every \
      command takes --json for programs.

      \(ExitStatus.help())
      """,
    version: "mapped-ram 0.1.0",
    subcommands: [
      SaveCommand.self, RestoreCommand.self, InspectCommand.self, UnpackCommand.self,
      PackCommand.self, VerifyCommand.self, SealCommand.self, RepairCommand.self,
      DiffCommand.self, CompactCommand.self, BenchCommand.self, HolderCommand.self,
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
    let words = Array(CommandLine.arguments.dropFirst())
    do {
      var command = try parse(words)
      try command.run()
      exit()
    } catch {
      let (message, status) = (message(for: error), exitCode(for: error))
      // Help, and what completes arguments in a shell, is our own text.
      guard !message.isEmpty, !status.isSuccess else { exit(withError: error) }
      let verb = CommandLineCheck.verb(of: words).map { " " + $0 } ?? ""
      let text = "\(message)\nSee 'mapped-ram\(verb) --help'."
      let asked = CommandLineCheck.jsonAskedFor(in: words)
      let line = ErrorLine(error: ErrorJSON(usage: text), status: .usage)
      line.write(asked.onStderr ? .json : .auto)
      if asked.onStdout {
        try? Console.writeOutput(JSONText.document(line), endingWith: .usage)
      }
      exit(withError: status)
    }
  }

  /// The command that `words` ask for.
  static func parse(_ words: [String]) throws -> any ParsableCommand {
    if let command = parsedByVerb(words) { return command }
    if let complaint = CommandLineCheck.complaint(about: words) { throw ValidationError(complaint) }
    return try parseAsRoot(words)
  }

  /// The command that `words` ask for, if they are right: its verb's own parser reads them. The parser of the whole tree says the same, and
  /// takes several times as long: it lists the arguments of a verb over and over. Where anything is not right, or help is asked for, it
  /// is the one to answer.
  private static func parsedByVerb(_ words: [String]) -> (any ParsableCommand)? {
    guard let word = words.first,
      let verb = configuration.subcommands.first(where: { $0.configuration.commandName == word }),
      let command = try? verb.parseAsRoot(Array(words.dropFirst())), type(of: command) == verb
    else { return nil }
    return command
  }
}

import ArgumentParser
import LinuxIO
import MappedRAMBench
import SystemPackage

/// `mapped-ram hold-memory BYTES`: the process that has a made-up guest's memory. For bench alone.
struct HolderCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: GuestHolder.verb, abstract: "Has memory until its input ends. For bench alone.",
    shouldDisplay: false)

  @Argument var byteCount: Int

  func validate() throws {
    guard byteCount > 0 else { throw ValidationError("Expected a number of bytes.") }
  }

  func run() throws {
    do throws(SystemCallError) {
      let memory = try HeldMemory(byteCount: byteCount)
      do throws(CommandError) {
        try Console.writeOutput("\(memory.address)\n")
      } catch {
        throw SystemCallError(call: .write, errno: .brokenPipe, subject: .process)
      }
      memory.waitForEnd()
    } catch {
      throw ExitCode(ExitStatus.ioError.rawValue)
    }
  }
}

import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QEMUArguments
import QEMUControl
import QMP
import SystemPackage

/// A stock QEMU with a guest of ours, started for a measurement. It is killed when the last reference goes.
final class BenchVM {
  private let launch: QEMULaunch
  let connection: QMPConnection
  /// QEMU's process.
  let processID: Int32
  /// How long it took from the start to QEMU's answer.
  let startSeconds: Double
  /// The guest's main memory.
  let pages: ProcessPages

  /// What is started.
  struct Configuration {
    /// The program: a path, or a name in PATH.
    var program: String
    /// The guest's memory: a multiple of 1 MiB.
    var byteCount: UInt64
    /// Whether the memory is a file in memory that others can map.
    var isShared: Bool
    /// The firmware of all VMs of a run.
    var firmware: GuestFirmware

    /// QEMU's arguments, the program first.
    func arguments(incoming: Bool) -> [String] {
      var words = [
        program, "-accel", "tcg", "-nodefaults", "-display", "none", "-S", "-machine",
        "q35" + (isShared ? ",memory-backend=pc.ram" : ""), "-m", "\(byteCount >> 20)M",
        "-bios", firmware.path,
      ]
      if isShared {
        words += [
          "-object", "memory-backend-memfd,id=pc.ram,size=\(byteCount),share=on",
        ]
      }
      return words + (incoming ? ["-incoming", "defer"] : [])
    }
  }

  /// Starts QEMU and waits until it answers. The guest's processor is stopped.
  init(_ configuration: Configuration, incoming: Bool) throws(BenchError) {
    let start = ContinuousClock.now
    do throws(VMError) {
      do throws(LaunchError) {
        let line: QEMUCommandLine
        do throws(LaunchRefusal) {
          line = try QEMUCommandLine(parsing: configuration.arguments(incoming: incoming))
        } catch {
          throw LaunchError.refused(error)
        }
        launch = try QEMULaunch(line, Self.mode)
      } catch {
        throw VMError.launch(error)
      }
      do throws(QMPError) {
        connection = try QMPConnection(
          socket: launch.control, name: FilePath(configuration.program))
        startSeconds = (ContinuousClock.now - start).inSeconds
        // Out of the state "prelaunch" into "paused". The guest halts at once, or waits for `BusyGuest.begin`.
        if !incoming {
          try connection.execute(.cont)
          try connection.execute(.stop)
        }
        pages = try Self.mainMemory(of: connection, launch.child.processID)
        processID = launch.child.processID
      } catch {
        throw VMError.qmp(error)
      }
    } catch .launch(.system(let error)) where error.call == .execvp {
      throw .noProgram(.qemu(configuration.program))
    } catch {
      throw .vm(error, output: nil)
    }
  }

  /// A session of its own, out of reach of the terminal's Ctrl-C.
  static var mode: QEMULaunch.Mode {
    .detached(
      socket: FilePath("/tmp/mapped-ram-bench-\(getpid())-\(UInt32.random(in: 0 ... .max)).qmp"),
      log: .none)
  }

  /// The largest block of the QEMU behind `connection`.
  static func mainMemory(
    of connection: QMPConnection, _ processID: Int32
  ) throws(QMPError) -> ProcessPages {
    let blocks = try connection.ramBlocks()
    guard let block = blocks.max(by: { $0.usedLength.rawValue < $1.usedLength.rawValue }),
      let address = block.hostAddress
    else {
      throw .unexpectedAnswer(
        command: "x-query-ramblock", place: "the table", expected: "one of blocks with addresses")
    }
    return ProcessPages(
      ProcessMemory(of: processID), at: address, byteCount: block.usedLength.rawValue)
  }

  /// QEMU's processor time so far.
  func cpuTime() throws(BenchError) -> Duration {
    try BenchError.system { () throws(SystemCallError) in
      try ProcessorTime.used(by: processID)
    }
  }

  /// Calls `body` and gives its error as this module's.
  func talking<Value>(
    _ body: (QMPConnection) throws(QMPError) -> Value
  ) throws(BenchError) -> Value {
    do throws(QMPError) {
      return try body(connection)
    } catch {
      throw .vm(.qmp(error), output: nil)
    }
  }
}

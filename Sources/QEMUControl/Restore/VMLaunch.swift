import LinuxIO
import LinuxProcesses
public import MappedRAM
import MappedRAMFormat
public import QEMUArguments
import QMP
import SystemPackage

/// Starts a QEMU with the user's arguments, and restores an image into it.
public struct VMLaunch: Sendable {
  /// How the image gets into the VM.
  public var restore: VMRestore
  /// The arguments, the program first.
  public var arguments: [String]
  /// How QEMU lives beside this process.
  public var mode = QEMULaunch.Mode.foreground
  /// Where this VM, as one of many clones, gets an overlay of each disk that it writes to; `nil` where it has the disks themselves.
  public var cloneDirectory: FilePath?

  /// A start of `arguments`, for `restore`.
  public init(_ restore: VMRestore, arguments: [String]) {
    self.restore = restore
    self.arguments = arguments
  }

  /// What was restored, and what the user should know of the way in which QEMU was started.
  public struct Outcome: Sendable {
    /// What the restore did.
    public var report: VMRestoreReport
    /// Where the arguments were not taken as they are.
    public var notes: [LaunchNote]
    /// The clone's disks.
    public var disks: [DiskClone] = []
  }

  /// Starts QEMU and restores `source` into it.
  ///
  /// Overlays of disks that were made for it are removed if this fails.
  ///
  /// - Parameter use: is given the running QEMU, with the VM in it; what it does not let go is killed when it returns. It reads
  ///   on from `control`, or ends the conversation.
  /// - Throws: `VMError`; QEMU is gone then.
  public func run<Value>(
    _ source: RestoreSource, progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation(),
    _ use: (consuming QEMULaunch, Outcome) throws(VMError) -> Value
  ) throws(VMError) -> Value {
    if restore.verifies { try source.checkHasSums() }
    var line: QEMUCommandLine
    var notes: [LaunchNote] = []
    var mapped: Set<String> = []
    var restore = restore
    do throws(LaunchRefusal) {
      line = try QEMUCommandLine(parsing: arguments)
      // `-S` of the user is as good as our own word for it.
      if line.startsPaused, restore.afterwards == .asBefore { restore.afterwards = .pause }
      try line.prepareForRestore()
      if restore.engine == .map { (mapped, notes) = try map(source, &line) }
      if cloneDirectory != nil, let note = try line.generationIDNote() { notes.append(note) }
    } catch .memorySize(let idstr, let expected, let found, _) {
      let size = Mismatch.blockSize(
        idstr: idstr, found: ByteCount(found), expected: ByteCount(expected))
      throw .mismatches(source.file.path, [size])
    } catch {
      throw .launch(.refused(error))
    }
    guard let cloneDirectory else {
      return try run(source, restore, line, mapped, notes, progress, cancellation, use)
    }
    let clones: DiskClones
    do throws(LaunchError) {
      clones = try DiskClones(for: &line, in: cloneDirectory)
    } catch {
      throw .launch(error)
    }
    restore.cloneDisks = clones.disks.map(\.overlay)
    do throws(VMError) {
      return try run(source, restore, line, mapped, notes, progress, cancellation) {
        (launch, outcome) throws(VMError) in
        var outcome = outcome
        outcome.disks = clones.disks
        return try use(launch, outcome)
      }
    } catch {
      clones.remove()
      throw error
    }
  }

  /// Starts QEMU with the arguments `line`, and restores into it.
  ///
  /// - Parameter mapped: the blocks that QEMU should have from the image.
  private func run<Value>(
    _ source: RestoreSource, _ restore: VMRestore, _ line: QEMUCommandLine, _ mapped: Set<String>,
    _ notes: [LaunchNote], _ progress: TransferProgress, _ cancellation: Cancellation,
    _ use: (consuming QEMULaunch, Outcome) throws(VMError) -> Value
  ) throws(VMError) -> Value {
    var (restore, line) = (restore, line)
    let inherited: InheritedFiles
    do throws(SystemCallError) {
      inherited = try InheritedFiles(for: source, locksImage: restore.engine == .map)
    } catch {
      throw .system(error)
    }
    inherited.add(to: &line)
    var launch: QEMULaunch
    do throws(LaunchError) {
      launch = try QEMULaunch(line, mode, inheriting: inherited.descriptors)
    } catch {
      throw .launch(error)
    }
    let child = launch.child.processID
    restore.startedProcess = child
    restore.inherited = inherited
    if restore.engine == .map {
      // While QEMU starts. Where it has other blocks than are expected here, the stream is written again.
      do throws(ImageError) {
        try inherited.write(
          source, carrying: RestoreJob.expectedInStream(of: source.image, mapped: mapped),
          cancellation)
      } catch {
        throw .image(error)
      }
    }
    let report: VMRestoreReport
    do throws(VMError) {
      report = try restore.run(
        source, into: try Self.connection(to: launch, line, cancellation), progress: progress,
        cancellation: cancellation
      ) { (process) throws(VMError) in
        guard process.processID != child else { return }
        do throws(SystemCallError) {
          try launch.child.hold(process)
        } catch {
          throw .system(error)
        }
      }
    } catch {
      throw explained(error, &launch)
    }
    return try use(launch, Outcome(report: report, notes: notes))
  }

  /// How long QEMU may take from its start to its greeting: it opens disks and touches memory that is to be there from the start.
  private static let patience = Duration.seconds(300)

  private static func connection(
    to launch: borrowing QEMULaunch, _ line: QEMUCommandLine, _ cancellation: Cancellation
  ) throws(VMError) -> QMPConnection {
    let control = launch.control
    return try VMError.asking { () throws(QMPError) in
      try QMPConnection(
        socket: control, name: FilePath(line.program), timeout: patience,
        // Nobody else has talked over it: the shortest numbers will do.
        lineLimit: QMPConnection.lineLimit, lastID: 0, isCancelled: { cancellation.isCancelled })
    }
  }

  /// Lets the memory come from the image.
  ///
  /// - Returns: the blocks that do, and what the user should know.
  private func map(
    _ source: RestoreSource, _ line: inout QEMUCommandLine
  ) throws(LaunchRefusal) -> (mapped: Set<String>, notes: [LaunchNote]) {
    let blocks = source.image.blocks.compactMap { block in
      block.layout.pages.map {
        MappedMemory.Block(
          idstr: block.idstr, byteCount: block.usedLength.rawValue,
          offset: $0.lowerBound.rawValue, fitsHugePages: block.layout.fitsHugePages)
      }
    }
    let outcome = try line.map(
      MappedMemory(
        path: source.file.path.string, blocks: blocks, reserves: MemoryOvercommit.isStrict))
    return (Set(outcome.mapped), outcome.notes + source.mappingNotes)
  }

  /// Where QEMU has ended, that is the error, and not that it says nothing more. What QEMU said that the user has not seen is told.
  private func explained(_ error: VMError, _ launch: inout QEMULaunch) -> VMError {
    switch error {
    case .qmp(let cause) where cause.isEndOfConversation:
      guard let end = try? launch.child.wait(for: .seconds(2)) else { return error }
      return .ended(end, messages: launch.takeMessages())
    case .migrationFailed(let path, let reason, _):
      return .migrationFailed(path, reason: reason, hints: hints(&launch))
    default: return error
    }
  }

  private func hints(_ launch: inout QEMULaunch) -> [MigrationHint] {
    switch mode {
    // The user has seen what it said.
    case .foreground: return []
    case .detached(_, .file(let log)): return [.log(log)]
    case .detached:
      let text = launch.takeMessages()
      return text.isEmpty ? [] : [.said(text)]
    }
  }
}

extension QMPError {
  /// Whether the other end is gone.
  var isEndOfConversation: Bool {
    switch self {
    case .closed: true
    case .system(let error): [.brokenPipe, .connectionReset].contains(error.errno)
    default: false
    }
  }
}

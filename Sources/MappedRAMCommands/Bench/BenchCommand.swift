import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// `mapped-ram bench`: measures the engine on a file system.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast images are written and read in a directory.",
    usage: "mapped-ram bench [<options>] <directory>",
    discussion: """
      Writes an image of a made-up guest with the engine of save, reads it back with the engine of restore, compares \
      every byte, and prints how fast each went and what it cost. The image is durable before the clock of the \
      writing stops. It has no name, so nothing is ever left in the directory.

      The processor time includes making the guest's pages and comparing them. Where direct I/O is not possible, the \
      file is dropped from the page cache before it is read.

      EXAMPLES:
        mapped-ram bench /var/lib/libvirt/images
        mapped-ram bench . --size 16G --zero-fraction 0.5
        mapped-ram bench . --channels 1 --queue-depth 8 --json

      \(ExitStatus.help([
        .success: "the image came back as it was written",
        .unavailable: "direct I/O was required and is refused",
        .ioError: "I/O error, or the image came back with other bytes",
        .cannotCreate: "no file can be made in the directory",
      ], besides: [.negative, .badData]))
      """)

  @Argument(
    help: "Where the image is written. Nothing is left there.", completion: .directory,
    transform: { FilePath($0) })
  var directory: FilePath

  @OptionGroup(title: "Guest") var guest: BenchGuest
  @OptionGroup(title: "Transfer options") var channels: ChannelArguments
  @OptionGroup(title: "Output options") var output: OutputArguments

  @Option(
    help: ArgumentHelp(
      "Keep the image in the directory, under this name.", valueName: "name", visibility: .hidden))
  var keep: String?

  func validate() throws {
    if let keep, FilePath.Component(keep)?.kind != .regular {
      throw ValidationError("--keep is \"\(keep)\"; expected the name of a file.")
    }
  }

  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in try measure(run) }
  }

  private func measure(_ run: CommandRun) throws(CommandError) -> BenchReport {
    let guest = try guest.make()
    let options = channels.options
    let name = keep.flatMap { FilePath.Component($0) } ?? "mapped-ram-bench.img"
    let path = directory.appending(name)
    let plan = try CommandError.image(to: directory) { () throws(ImageError) in
      try guest.plan(for: path)
    }
    let (file, written) = try run.transfer("write", to: directory) {
      (progress, cancellation) throws(ImageError) in
      try write(plan, path, progress, cancellation)
    }
    let isCacheDropped = try dropCache(of: file)
    let check = SyntheticCheck(guest)
    let read = try run.transfer("read", to: directory) {
      (progress, cancellation) throws(ImageError) in
      try ImageRestore(file, options: options).run(
        progress: progress, cancellation: cancellation
      ) { _ in check }.report
    }
    guard check.isGood else {
      throw .mismatch(
        PageMismatches(
          count: check.mismatchedPages, first: check.firstMismatch ?? 0,
          checked: check.checkedPages, expected: guest.pageCount))
    }
    return BenchReport(
      directory: directory, seed: guest.seed, zeroFraction: self.guest.zeroFraction,
      options: options, fileSize: plan.end.rawValue, isCacheDropped: isCacheDropped,
      write: written, read: read)
  }

  /// Writes the image into a file without a name, or under the name that is to be kept.
  private func write(
    _ plan: SavePlan, _ path: FilePath, _ progress: Progress, _ cancellation: Cancellation
  ) throws(ImageError) -> (File, TransferReport) {
    let save = ImageSave(plan, options: channels.options)
    if keep != nil {
      let report = try save.run(to: path, progress: progress, cancellation: cancellation)
      let file = try Self.opening { () throws(FileError) in
        try File.open(path, access: .read, directIO: channels.directIO)
      }
      return (file, report)
    }
    // Never committed: the file has no name, or one that goes when the pending file does, at once.
    let file = try Self.opening { () throws(FileError) in
      try PendingFile.create(at: path, directIO: channels.directIO).file
    }
    return (file, try save.run(into: file, progress: progress, cancellation: cancellation))
  }

  private static func opening(_ body: () throws(FileError) -> File) throws(ImageError) -> File {
    do throws(FileError) {
      return try body()
    } catch {
      throw .file(error)
    }
  }

  private func dropCache(of file: File) throws(CommandError) -> Bool {
    if case .active = file.directIO { return false }
    do throws(SystemCallError) {
      try file.dropCache()
    } catch {
      throw .system(error)
    }
    return true
  }
}

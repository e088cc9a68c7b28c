import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// `mapped-ram compact`: punches out of an image what means nothing.
struct CompactCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compact",
    abstract: "Free the room that an image has for old versions of pages.",
    discussion: """
      A live save by QEMU leaves older versions of pages that became zero in their slots. They mean nothing, but take room, and \
      each VM that runs on the image (restore --engine map) has to hide them in memory of its own. This makes holes of them. The \
      image means the same as before to every reader, though its bytes differ; it can be interrupted at any moment.

      An image on which a VM runs, or which a save is writing, is refused.

      EXAMPLES:
        mapped-ram compact vm.img

      \(ExitStatus.help([
        .badData: "the file is no image, or a damaged one, and was not changed",
        .cannotCreate: "a VM runs on the image, or somebody writes it",
      ], besides: [.negative, .incomplete, .unavailable]))
      """)

  @Argument(help: "The image.", completion: .file(), transform: { FilePath($0) })
  var image: FilePath

  @Option(
    help: ArgumentHelp(
      "Where the stream begins in the file. (default: as its container says, or 0)",
      valueName: "bytes"))
  var offset: ByteSize?

  @OptionGroup(title: "Output options") var output: OutputArguments

  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      do throws(CommandError) {
        return try run.transfer("compact", to: image) { (_, cancellation) throws(ImageError) in
          try compact(cancellation)
        }
      } catch {
        guard error == .image(.cancelled, output: image) else { throw error }
        throw .interruptedCompacting(image)
      }
    }
  }

  private func compact(_ cancellation: Cancellation) throws(ImageError) -> CompactReport {
    let opened = try ImageFile(opening: image, access: .readWrite, isExclusive: true)
    try opened.lock(.exclusive)
    let file = opened.file
    let found = try Image(
      reading: file, streamOffset: offset.map { FileOffset($0.byteCount) },
      cancellation: cancellation)
    if let problem = found.problems.first { throw .format(problem, in: image) }
    let before = try calling(file.allocatedBytes)
    let slots = try StaleSlots.clear(in: found.blocks, of: file, cancellation: cancellation)
    try opened.sync()
    if let refusal = slots.refusal, !slots.remaining.isEmpty { throw .system(refusal) }
    let after = try calling(file.allocatedBytes)
    return CompactReport(
      image: image, clearedPages: slots.clearedPages,
      freedBytes: before > after ? before - after : 0)
  }
}

/// What `mapped-ram compact` says at its end.
struct CompactReport: CommandReport {
  var image: FilePath
  /// Pages whose slots were made holes.
  var clearedPages: Int
  /// Bytes that the file takes less on the disk.
  var freedBytes: UInt64

  var text: String {
    guard clearedPages > 0 else { return "\(image): nothing to do\n" }
    return "\(image): freed \(NumberText.bytes(freedBytes)) in the slots of "
      + "\(NumberText.count(UInt64(clearedPages), "page"))\n"
  }

  var json: JSON {
    JSON(image: image.string, clearedPages: clearedPages, freedBytes: freedBytes)
  }

  /// ```json
  /// {
  ///   "clearedPages" : 508,
  ///   "command" : "compact",
  ///   "freedBytes" : 2080768,
  ///   "image" : "vm.img",
  ///   "schemaVersion" : 1,
  ///   "type" : "report"
  /// }
  /// ```
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = 1
    var command = "compact"
    var image: String
    var clearedPages: Int
    var freedBytes: UInt64
  }
}

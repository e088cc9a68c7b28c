import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// `mapped-ram restore`: takes an image apart into files.
struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Take an image apart into files.",
    usage: "mapped-ram restore [<options>] <image> --to-directory <directory>",
    discussion: """
      Writes the memory of each RAMBlock as a raw file named after it (pc.ram.ram; bytes that are not safe in a file \
      name as %2F), with holes where pages are zero, the device state as vmstate.bin, and image.json with all else that \
      "mapped-ram save" needs to build the image again, byte for byte. All files appear together once all are complete.

      EXAMPLES:
        mapped-ram restore vm.img --to-directory vm
        mapped-ram restore vm.img --to-directory vm --block pc.ram
        mapped-ram restore vm.img --to-directory vm --json --progress none

      On failure nothing is left behind.

      \(ExitStatus.help([
        .usage: "the command line is not right, or there is no such RAMBlock",
        .badData: "the image is damaged, incomplete or none at all",
        .unavailable: "direct I/O was required and is refused",
        .cannotCreate: "the directory or a file in it cannot be made",
      ], besides: [.negative]))
      """)

  @Argument(
    help: "The image: a file of QEMU's or libvirt's, or a block device.", completion: .file(),
    transform: { FilePath($0) })
  var image: FilePath

  @OptionGroup(title: "Image options") var contents: RestoreContents
  @OptionGroup(title: "Transfer options") var channels: ChannelArguments
  @OptionGroup(title: "Output options") var output: OutputArguments

  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let outcome = try run.transfer("restore", to: contents.toDirectory) {
        (progress, cancellation) throws(ImageError) in
        let file = try open()
        let restore = ImageRestore(
          file, streamOffset: contents.offset.map { FileOffset($0.byteCount) },
          options: channels.options)
        return try DirectoryRestore(
          restore, to: contents.toDirectory,
          selection: contents.block.isEmpty ? nil : contents.block
        ).run(progress: progress, cancellation: cancellation)
      }
      return RestoreReport(image: image, directory: contents.toDirectory, outcome: outcome)
    }
  }

  private func open() throws(ImageError) -> File {
    do throws(FileError) {
      return try File.open(image, access: .read, directIO: channels.directIO)
    } catch {
      throw .file(error)
    }
  }
}

/// The options of `mapped-ram restore` that say what goes where.
struct RestoreContents: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where the files go. The directory is made if it is not there; files with the same names are replaced.",
      valueName: "directory"),
    completion: .directory, transform: { FilePath($0) })
  var toDirectory: FilePath

  @Option(
    help: ArgumentHelp(
      "Restore only this RAMBlock, and neither the device state nor image.json. May be repeated.",
      valueName: "idstr"))
  var block: [String] = []

  @Option(
    help: ArgumentHelp(
      "Where the stream begins in the file (default: where libvirt's header says, or 0).",
      valueName: "bytes"))
  var offset: ByteSize?
}

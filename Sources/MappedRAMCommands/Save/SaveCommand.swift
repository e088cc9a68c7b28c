import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// `mapped-ram save`: builds an image from files.
struct SaveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "save",
    abstract: "Build an image from files.",
    discussion: """
      From a directory that "mapped-ram restore" made, the image is built as it was: for an image that QEMU wrote of a \
      stopped machine, byte for byte.

      From files of your own, --machine, --vmstate and a --block for each RAMBlock say what the image holds. Relative \
      paths are looked up in --from-directory if that is given. The device state may be a vmstate.bin, or what QEMU's \
      xen-save-devices-state writes.

      The image appears under its name once it is complete and on the disk, in place of what had the name. A block \
      device is written where it is, and with --in-place so is a file; its first eight bytes are written last.

      EXAMPLES:
        mapped-ram save --from-directory vm vm.img
        mapped-ram save --from-directory raw --machine pc-q35-10.0 \\
          --vmstate devices.bin --block pc.ram=ram.raw vm.img
        mapped-ram save --from-directory vm --progress json vm.img

      On failure nothing is left behind, but a device or file that is written where it is holds no image any more.

      \(ExitStatus.help([
        .badData: "the manifest or the files beside it are not right",
        .unavailable: "direct I/O was required and is refused",
        .cannotCreate: "the image cannot be made",
      ], besides: [.negative]))
      """)

  @Argument(
    help: "The image: a file that is made or replaced, or a block device.", completion: .file(),
    transform: { FilePath($0) })
  var image: FilePath

  @OptionGroup(title: "Image options") var contents: SaveContents

  @OptionGroup(title: "Transfer options") var channels: ChannelArguments
  @OptionGroup(title: "Output options") var output: OutputArguments

  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let plan = try contents.plan(directIO: channels.directIO)
      let report = try save(plan, run)
      return SaveReport(image: image, plan: plan, report: report)
    }
  }

  private func save(_ plan: SavePlan, _ run: CommandRun) throws(CommandError) -> TransferReport {
    let isInPlace = contents.inPlace || File.isBlockDevice(image)
    do throws(CommandError) {
      return try run.transfer("save", to: image) { (progress, cancellation) throws(ImageError) in
        try ImageSave(plan, options: channels.options).run(
          to: image, inPlace: isInPlace, progress: progress, cancellation: cancellation)
      }
    } catch {
      guard isInPlace, error == .image(.cancelled, output: image) else { throw error }
      throw .interruptedInPlace(image)
    }
  }
}

import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// The options of `mapped-ram save` that say what the image is to hold, and how it is made.
struct SaveContents: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The files: a directory that \"mapped-ram restore\" made, or one of your own.",
      valueName: "directory"),
    completion: .directory, transform: { FilePath($0) })
  var fromDirectory: FilePath?

  @Option(
    help: ArgumentHelp(
      "A RAMBlock and the raw file with its contents, whose size is the used length. Repeat it for each, in the order of the image.",
      valueName: "idstr=file"))
  var block: [BlockFile] = []

  @Option(
    help: ArgumentHelp("The device state.", valueName: "file"), completion: .file(),
    transform: { FilePath($0) })
  var vmstate: FilePath?

  @Option(
    help: ArgumentHelp(
      "The machine type with its version, such as pc-q35-10.0.", valueName: "type"))
  var machine: String?

  @Option(
    help: ArgumentHelp(
      "The size of the guest's pages: 1K to 64K; 4K but for few architectures. (default: 4K)",
      valueName: "bytes"))
  var pageSize: ByteSize?

  @Option(
    help: ArgumentHelp(
      "Where the stream is to begin in the image. (default: as image.json says, or 0)",
      valueName: "bytes"))
  var offset: ByteSize?

  @Flag(
    help: """
      Write into the existing file: for one whose place, mode or links matter. It is no image while this runs, and \
      nothing of what it held is kept.
      """)
  var inPlace = false

  @Flag(
    help: """
      Replace a file that is no image or one of another VM, or what a device holds. (By default only images and empty files \
      are replaced. A file that the VM uses is never replaced.)
      """)
  var force = false

  /// What the image may replace.
  var replacing: Replacing { force ? .anything : .images }

  func validate() throws {
    guard isHandmade else { return }
    let missing = [
      ("--machine", machine == nil), ("--vmstate", vmstate == nil), ("--block", block.isEmpty),
    ].filter(\.1).map(\.0)
    guard missing.isEmpty else {
      throw ValidationError(
        "To build an image from files of your own, give \(missing.joined(separator: " and ")) as well."
      )
    }
    let names = block.map(\.idstr)
    if let twice = names.first(where: { name in names.filter { $0 == name }.count > 1 }) {
      throw ValidationError("--block names \"\(twice)\" twice; a RAMBlock has one file.")
    }
    if let machine, !Self.isName(machine) {
      throw ValidationError(
        "--machine is \"\(machine)\"; expected 1 to 255 printable ASCII characters.")
    }
    if let pageSize, PageSize(byteCount: pageSize.byteCount) == nil {
      throw ValidationError("--page-size is \(pageSize); expected a power of two, 1K to 64K.")
    }
  }

  private static func isName(_ text: String) -> Bool {
    (1...ImageLimits.nameBytes).contains(text.utf8.count)
      && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
  }

  /// The options that are given and belong to files of the user's own.
  private var handmadeOptions: [String] {
    [
      ("--block", !block.isEmpty), ("--vmstate", vmstate != nil), ("--machine", machine != nil),
      ("--page-size", pageSize != nil),
    ].filter(\.1).map(\.0)
  }

  /// The options that are given and belong to files; not to running VMs.
  var fileOptions: [String] {
    (fromDirectory == nil ? [] : ["--from-directory"]) + handmadeOptions
      + (offset == nil ? [] : ["--offset"])
  }

  private var isHandmade: Bool { !handmadeOptions.isEmpty }

  /// The plan of the image.
  func plan(directIO: DirectIOPolicy) throws(CommandError) -> SavePlan {
    let manifest = fromDirectory?.appending(DirectoryManifest.fileName)
    let hasManifest = manifest.flatMap(InodeType.init(at:)) != nil
    if let manifest, hasManifest, isHandmade {
      throw .manifestAndOptions(manifest, options: handmadeOptions)
    }
    if let manifest, !hasManifest, !isHandmade { throw .noManifest(manifest) }
    guard let fromDirectory, let manifest, hasManifest else {
      return try CommandError.image(to: nil) { () throws(ImageError) in try handmade(directIO) }
    }
    let plan = try CommandError.image(to: nil) { () throws(ImageError) in
      try DirectorySave.plan(from: fromDirectory, directIO: directIO)
    }
    let planned = plan.layout.streamOffset
    guard let offset, offset.byteCount != planned.rawValue else { return plan }
    guard plan.prefix == nil else {
      throw .offsetWithPrefix(manifest, expected: planned.rawValue)
    }
    return try CommandError.image(to: nil) { () throws(ImageError) in
      try SavePlan(
        prologue: plan.prologue, blocks: plan.blocks, tail: plan.tail,
        streamOffset: FileOffset(offset.byteCount), keepsHoles: plan.keepsHoles, for: manifest
      ).with(devices: plan.devices)
    }
  }

  private func handmade(_ directIO: DirectIOPolicy) throws(ImageError) -> SavePlan {
    guard let machine, let vmstate else { preconditionFailure("validated") }
    return try HandmadeSave(
      machineType: machine, blocks: block.map { ($0.idstr, located($0.file)) },
      vmstate: located(vmstate),
      pageSize: pageSize.flatMap { PageSize(byteCount: $0.byteCount) } ?? .fourKiB,
      streamOffset: FileOffset(offset?.byteCount ?? 0)
    ).plan(directIO: directIO)
  }

  /// `path`, in the directory if there is one and the path is relative.
  private func located(_ path: FilePath) -> FilePath {
    fromDirectory.map { $0.pushing(path) } ?? path
  }
}

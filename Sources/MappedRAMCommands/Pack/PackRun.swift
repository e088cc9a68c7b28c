import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage

extension PackCommand {
  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let places = [directory.string, image.string]
      try CommandError.check(
        directory, [.socket: ["save"] + places, .regular: ["unpack"] + places])
      let planned = try plan()
      let plan = try CommandError.image(to: nil) { () throws(ImageError) in
        try planned.with(
          devices: devices.sources(sections: sections.deviceSection, besides: planned.devices))
      }
      return PackReport(image: image, plan: plan, report: try save(plan, run))
    }
  }

  private func save(_ plan: SavePlan, _ run: CommandRun) throws(CommandError) -> TransferReport {
    let inPlace = target.writesInPlace(image)
    if inPlace, let warning = VMSaveWarning(ofReadersOf: image) { run.warn(warning.finding) }
    return try target.sayingWhatIsLeft(in: image, at: plan.layout.streamOffset) {
      () throws(CommandError) in
      try run.showingProgress("pack", to: image) { (progress, cancellation) throws(ImageError) in
        var save = ImageSave(plan, options: channels.options(transfer))
        save.hasChecksums = layout.checksums ?? plan.hasChecksums
        return try save.run(
          to: image, inPlace: inPlace, replacing: target.force.replacing, progress: progress,
          cancellation: cancellation)
      }
    }
  }

  /// The plan of the image.
  private func plan() throws(CommandError) -> SavePlan {
    let manifest = directory.appending(DirectoryManifest.fileName)
    let hasManifest = InodeType(at: manifest) != nil
    guard contents.given.isEmpty else {
      guard !hasManifest else {
        throw .manifestAndOptions(manifest, options: contents.given)
      }
      return try CommandError.image(to: nil) { () throws(ImageError) in try handmade() }
    }
    guard hasManifest else { throw .noManifest(manifest) }
    let plan = try CommandError.image(to: nil) { () throws(ImageError) in
      try SavePlan.ofDirectory(
        directory, slots: layout.layout, directIO: channels.directIO)
    }
    let planned = plan.layout.streamOffset
    guard let offset = stream.offset, offset.byteCount != planned.rawValue else { return plan }
    guard plan.prefix == nil else {
      throw .offsetWithPrefix(manifest, expected: planned.rawValue)
    }
    return try CommandError.image(to: nil) { () throws(ImageError) in
      var moved = try SavePlan(
        prologue: plan.prologue, blocks: plan.blocks, tail: plan.tail,
        streamOffset: FileOffset(offset.byteCount), slots: plan.slots,
        keepsHoles: plan.keepsHoles, for: manifest
      ).with(devices: plan.devices)
      moved.hasChecksums = plan.hasChecksums
      return moved
    }
  }

  private func handmade() throws(ImageError) -> SavePlan {
    guard let machine = contents.machine, let vmstate = contents.vmstate else {
      preconditionFailure("validated")
    }
    return try PlanFromFiles(
      machineType: machine, blocks: contents.block.map { ($0.idstr, directory.pushing($0.file)) },
      vmstate: directory.pushing(vmstate),
      pageSize: contents.pageSize.flatMap { PageSize(byteCount: $0.byteCount) } ?? .fourKiB,
      streamOffset: FileOffset(stream.offset?.byteCount ?? 0), slots: layout.layout ?? .qemu
    ).plan(directIO: channels.directIO)
  }
}

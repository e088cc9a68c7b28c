import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage

extension SaveCommand {
  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      var other: [InodeType: [String]] = [.directory: ["pack", socket.string, image.string]]
      if InodeType(at: image) == .socket {
        other[.regular] = ["save", image.string, socket.string]
      }
      try CommandError.check(socket, other)
      let save = try vmSave()
      let report = try target.sayingWhatIsLeft(in: image) { () throws(CommandError) in
        try run.showingProgress("save") { (progress, cancellation) throws(CommandError) in
          try CommandError.vm(to: image, isLive: live.live) { () throws(VMError) in
            try save.run(
              try VMConnection.open(socket, cancellation), progress: progress,
              cancellation: cancellation,
              onWarning: { run.warn($0.finding) })
          }
        }
      }
      return SaveReport(image: image, report: report)
    }
  }

  /// The save that is asked for.
  private func vmSave() throws(CommandError) -> VMSave {
    var save = VMSave(to: image, options: channels.options(transfer))
    save.inPlace = target.writesInPlace(image)
    save.replacing = target.force.replacing
    save.engine = machine.engine
    save.layout = layout.layout
    save.hasChecksums = !layout.noChecksums
    save.hasFacts = !layout.noChecksums
    save.base = layout.base
    save.afterwards = machine.then?.ending ?? .asBefore
    save.live = live.options(transfer)
    save.liveMethod = live.liveMethod ?? .auto
    save.maximumDowntime = live.maximumDowntime
    save.watchdogProgram = VMSave.thisProgram
    save.allowsLibvirt = machine.managedByLibvirt
    save.processID = process.pid
    save.snapshotDirectory = machine.snapshotDisks.map(\.absolute)
    save.devices = try CommandError.image(to: nil) { () throws(ImageError) in
      try devices.sources(sections: sections.deviceSection)
    }
    return save
  }
}

extension VMSave {
  /// This program, which watches over its own saves (see `MappedRAMCommand.run`).
  static let thisProgram = "/proc/self/exe"
}

import LinuxIO
import MappedRAM
import SystemPackage

extension UnpackCommand {
  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let outcome = try run.showingProgress("unpack", to: directory) {
        (progress, cancellation) throws(ImageError) in
        var unpacking = DirectoryRestore(
          try ImageRestore(
            at: image, streamOffset: offset.streamOffset, options: channels.options(transfer)),
          to: directory, selection: contents.block.isEmpty ? nil : contents.block)
        unpacking.replacing = force.replacing
        unpacking.verification = contents.verification
        unpacking.devices = try devices.targets(replacing: force.replacing)
        return try unpacking.run(progress: progress, cancellation: cancellation)
      }
      run.warn(ofDamageIn: outcome.image)
      return UnpackReport(image: image, directory: directory, outcome: outcome)
    }
  }
}

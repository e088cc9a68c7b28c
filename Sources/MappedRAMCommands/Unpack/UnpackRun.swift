import SystemPackage
import LinuxIO
import MappedRAM

extension UnpackCommand {
  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      let outcome = try run.transfer("unpack", to: directory) {
        (progress, cancellation) throws(ImageError) in
        let file = try ImageFile(opening: image, directIO: channels.directIO).file
        var unpacking = DirectoryRestore(
          ImageRestore(file, streamOffset: place.streamOffset, options: channels.options),
          to: directory, selection: contents.block.isEmpty ? nil : contents.block)
        unpacking.replacing = force.replacing
        unpacking.devices = try devices.targets(replacing: force.replacing)
        return try unpacking.run(progress: progress, cancellation: cancellation)
      }
      return UnpackReport(image: image, directory: directory, outcome: outcome)
    }
  }
}

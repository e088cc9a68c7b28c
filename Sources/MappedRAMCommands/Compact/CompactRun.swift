import LinuxIO
import MappedRAM
import MappedRAMFormat

extension CompactCommand {
  func run() throws {
    try CommandRun.perform(output) { (run) throws(CommandError) in
      try CommandError.leaving(.compacted, of: image) { () throws(CommandError) in
        try run.showingProgress("compact", to: image) { (_, cancellation) throws(ImageError) in
          try compact(cancellation)
        }
      }
    }
  }

  private func compact(_ cancellation: Cancellation) throws(ImageError) -> CompactReport {
    let opened = try ImageFile(changing: image)
    let file = opened.file
    let found = try Image(
      reading: file, streamOffset: offset.streamOffset, cancellation: cancellation)
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

import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

extension VMSave {
  /// Looks whether an image of `vm` fits where it is to be, as far as that is known while the VM still runs.
  ///
  /// On a device each page has a place, whether it is written or not; in a file zero pages take no room, and how many there are is known
  /// only once they have been read.
  ///
  /// - Parameter presentBytes: the most that the pages can take, asked only where it matters.
  /// - Returns: a warning where it may not fit.
  /// - Throws: `VMError.noRoom`, or `PlanError.targetTooSmall` of a device.
  func checkRoom(
    _ vm: RunningVM, presentBytes: () -> UInt64
  ) throws(VMError) -> VMSaveWarning? {
    guard let layout = SaveForecast.layout(of: vm) else { return nil }
    if File.isBlockDevice(image) {
      let found = try ofImage { (file) throws(SystemCallError) in try file.size() }
      guard layout.tail.rawValue <= found else {
        throw .image(.plan(.targetTooSmall(image, found: found, needed: layout.tail.rawValue)))
      }
      return nil
    }
    guard var available = FileSystem.room(at: image) else { return nil }
    if inPlace {
      // What the file has now it gives back first. What is replaced is there until the new image is whole.
      let freed = try ofImage { (file) throws(SystemCallError) in try file.allocatedBytes() }
      available += min(freed, .max - available)
    }
    // Bitmaps are written whole.
    let bitmaps = layout.bitmapBytes
    guard bitmaps <= available else {
      throw .noRoom(image, available: available, neededAtLeast: bitmaps)
    }
    guard bitmaps + vm.ramByteCount.rawValue > available else { return nil }
    let most = bitmaps + presentBytes()
    return most > available
      ? .mayNotFit(image, available: available, neededAtMost: most) : nil
  }

  /// What `body` gives of the file or device that is written where it is.
  private func ofImage(
    _ body: (File) throws(SystemCallError) -> UInt64
  ) throws(VMError) -> UInt64 {
    try moving { () throws(ImageError) in
      let file = try ImageFile(opening: image).file
      return try calling { () throws(SystemCallError) in try body(file) }
    }
  }
}

extension ImageLayout {
  /// Bytes of all bitmaps.
  var bitmapBytes: UInt64 { blocks.reduce(0) { $0 + ($1.bitmap?.byteCount.rawValue ?? 0) } }
}

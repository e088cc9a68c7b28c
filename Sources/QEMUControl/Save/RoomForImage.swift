import LinuxIO
import MappedRAM
import MappedRAMFormat
public import SystemPackage

/// Something that a save goes on in spite of, and that its user should know before.
public enum VMSaveWarning: Equatable, Sendable {
  /// The image may need more than its file system has left: then the save fails, and the VM goes on.
  case mayNotFit(FilePath, available: UInt64, neededAtMost: UInt64)
}

extension VMSaveWarning: CustomStringConvertible {
  /// A sentence or two.
  public var description: String {
    switch self {
    case .mayNotFit(let path, let available, let needed):
      "\(path): \(available) bytes are free there, and the image takes up to \(needed) besides the device state. It may fail for "
        + "want of room; the VM then goes on as before."
    }
  }
}

/// Whether an image of a VM fits where it is to be, as far as that is known while the VM still runs.
struct RoomForImage {
  let image: FilePath
  /// Bytes that there are: on the device, or left on the file system; `nil` where that cannot be told.
  private let available: UInt64?
  private let isDevice: Bool

  /// Looks at the place of `image`.
  init(for image: FilePath, inPlace: Bool) throws(VMError) {
    self.image = image
    isDevice = File.isBlockDevice(image)
    guard isDevice || inPlace else {
      // What is replaced is there until the new image is whole.
      available = FileSystem.room(at: image)
      return
    }
    let (device, path) = (isDevice, image)
    available = try moving { () throws(ImageError) in
      let file = try opening { () throws(FileError) in
        try File.open(path, access: .read, directIO: .off)
      }
      return try calling { () throws(SystemCallError) -> UInt64? in
        if device { return try file.size() }
        let freed = try file.allocatedBytes()
        return FileSystem.room(at: path).map { $0 + min(freed, .max - $0) }
      }
    }
  }

  /// Holds it against what a save writes.
  ///
  /// On a device each page has a place, whether it is written or not; in a file zero pages take no room, and how many there are is known
  /// only once they have been read.
  ///
  /// - Parameter presentBytes: the most that the pages can take, asked only where it matters.
  /// - Returns: a warning where it may not fit.
  /// - Throws: `VMError.noRoom`, or `PlanError.targetTooSmall` of a device.
  func check(
    _ vm: RunningVM, presentBytes: () -> UInt64
  ) throws(VMError) -> VMSaveWarning? {
    guard let available, let layout = SaveForecast.layout(of: vm) else { return nil }
    if isDevice {
      guard layout.tail.rawValue <= available else {
        throw .image(
          .plan(.targetTooSmall(image, found: available, needed: layout.tail.rawValue)))
      }
      return nil
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
}

extension ImageLayout {
  /// Bytes of all bitmaps.
  var bitmapBytes: UInt64 { blocks.reduce(0) { $0 + ($1.bitmap?.byteCount.rawValue ?? 0) } }
}

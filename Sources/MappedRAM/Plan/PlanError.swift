public import MappedRAMFormat
public import SystemPackage

/// What is asked for does not fit together: blocks, files, a manifest, devices.
public enum PlanError: Error, Equatable, Sendable {
  /// There is no block of this name.
  case unknownBlock(String, known: [String])
  /// There is nothing to save.
  case noBlocks
  /// A block's source has another size than the block.
  case sourceSize(FilePath, idstr: String, found: UInt64, expected: UInt64)
  /// A block's page size is not that of the others.
  case mixedPageSizes(String, found: PageSize, expected: PageSize)
  /// What is to stand before the stream is longer than there is room.
  case prefixLength(FilePath, found: UInt64, streamOffset: UInt64)
  /// A file that goes into an image whole is too long.
  case fileTooLong(FilePath, found: UInt64, limit: UInt64)
  /// A manifest is not what it should be.
  case manifest(FilePath, ManifestProblem)
  /// The image has no state of this device.
  case unknownDevice(DeviceIdentity, known: [DeviceIdentity])
  /// The file with a device's state has another size than its buffers.
  case deviceSize(FilePath, DeviceIdentity, found: UInt64, expected: UInt64)
  /// With this device's state the image would be longer than a file can be: `found` bytes, where `limit` are left.
  case deviceTooLong(DeviceIdentity, found: UInt64, limit: UInt64)
  /// A device is given twice.
  case deviceTwice(DeviceIdentity)
  /// A device whose state is to be a section does not know its size beforehand.
  case sectionWithoutSize(DeviceIdentity)
  /// A device whose state is to be a section has others in the stream that cannot be replaced.
  case sectionTaken(DeviceIdentity)
  /// The rest of the stream is too long to put sections into it.
  case tailTooLong(found: UInt64, limit: UInt64)
  /// No device can have this name.
  case deviceName(String)
  /// There are more devices than fit an image.
  /// Something is to be taken from the file itself that it is to be put into.
  case sameFile(FilePath, FilePath)
  case tooManyDevices(found: Int, limit: Int)
}

/// What is wrong with an `image.json`.
public enum ManifestProblem: Equatable, Sendable {
  /// It is not JSON, or lacks a key: `detail` is the decoder's own.
  case unreadable(detail: String)
  /// It was written by a later version.
  case schemaVersion(found: Int, supported: Int)
  /// A file's name that leads out of the directory.
  case unsafeName(String)
  /// A value that cannot be.
  case badValue(key: String, found: String)
  /// A block that cannot be.
  case badBlock(FormatError)
  /// A file that it names is not in the directory.
  case missingFile(String)
  /// There is no block.
  case noBlocks
  /// The configuration lacks the capability `mapped-ram`.
  case notMappedRAM
  /// A block has no file, and the configuration lacks the capability `x-ignore-shared`, with which one may be left out.
  case blockWithoutFile(String)
  /// RAM has another section id in the rest of the stream.
  case ramSectionID(found: UInt32, expected: UInt32)
}

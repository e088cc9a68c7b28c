import LinuxIO
package import MappedRAMFormat
package import SystemPackage

/// What a save or restore may replace.
public enum Replacing: Sendable {
  /// Its own kind: a save images, unless they are known to be of another VM, and what has nothing that is known in it; a restore
  /// what an earlier one has made; either empty files.
  case images
  /// Any file, and what a block device holds.
  case anything
}

/// What is in a file or on a device before an image is written there.
package enum TargetContents: Equatable {
  /// Nothing: the file is empty.
  case nothing
  /// An image, QEMU's or libvirt's, whose stream begins at `streamOffset`; `nil` where the container says, or at 0.
  case image(streamOffset: FileOffset?)
  /// It begins with zeros, and has no signature that is known.
  case blank
  /// Something else, with its name if that is known.
  case other(String?)

  /// Looks at `file`, in which an image's stream may begin at `streamOffset`.
  init(of file: ImageFile, streamOffset: FileOffset) throws(ImageError) {
    let head = try file.readUp(to: Self.headByteCount, at: .zero)
    guard !head.isEmpty else {
      self = .nothing
      return
    }
    let stream =
      streamOffset == .zero || streamOffset.rawValue > UInt64(Int64.max) - 4
      ? head : try file.readUp(to: 4, at: streamOffset)
    if StreamHeader.isPresent(in: head) || LibvirtHeader.isPresent(in: head) {
      self = .image(streamOffset: nil)
    } else if StreamHeader.isPresent(in: stream) {
      self = .image(streamOffset: streamOffset)
    } else if let name = Self.signatures.first(where: { $0.isIn(head) })?.name {
      self = .other(name)
    } else if head.prefix(8).allSatisfy({ $0 == 0 }) {
      self = .blank
    } else {
      self = .other(ForeignFormat(head: Array(head.prefix(512)))?.rawValue)
    }
  }

  /// Looks whether an image may be written to `path`, as a save does right before it writes, and changes nothing.
  ///
  /// For those who want to know before they pause a VM.
  ///
  /// - Parameter vm: whose image is to be written.
  /// - Throws: as `ImageSave.run`.
  package static func check(
    _ path: FilePath, inPlace: Bool, streamOffset: FileOffset = .zero, replacing: Replacing,
    vm: VMIdentity
  ) throws(ImageError) {
    if inPlace || File.isBlockDevice(path) {
      _ = try ImageDraft.openInPlace(
        path, streamOffset: streamOffset, replacing: replacing, vm: vm, directIO: .off)
    } else {
      try checkReplaced(path, streamOffset: streamOffset, replacing, vm)
    }
  }

  /// A file that is no image is about to appear at `path`, where only an empty one may be.
  ///
  /// - Throws: `TargetError.fileExists`.
  package static func checkIsFree(_ path: FilePath) throws(ImageError) {
    // What is no file is told when the new one is made.
    guard !File.hasContents(at: path) else { throw .target(.fileExists(path)) }
  }

  /// The file at `path` is about to be replaced by a new one.
  ///
  /// - Throws: `TargetError.usedByQEMU`, whatever may be replaced; `TargetError.notAnImage` or `.anotherVM` unless it may be.
  static func checkReplaced(
    _ path: FilePath, streamOffset: FileOffset, _ replacing: Replacing, _ vm: VMIdentity
  ) throws(ImageError) {
    // What is no file is told when the new one is made.
    guard InodeType(at: path) == .regular else { return }
    let file = try ImageFile(opening: path)
    if try calling(file.file.isLockedByQEMU) { throw .target(.usedByQEMU(path)) }
    guard case .images = replacing else { return }
    switch try TargetContents(of: file, streamOffset: streamOffset) {
    case .nothing: break
    case .image(let offset): try checkOwner(of: file, offset, vm)
    case .blank: throw .target(.notAnImage(path, found: nil))
    case .other(let found): throw .target(.notAnImage(path, found: found))
    }
  }

  /// The file or device is about to be written where it is.
  ///
  /// - Throws: `TargetError.notAnImage` or `.anotherVM` unless it may be.
  static func checkOverwritten(
    _ file: ImageFile, streamOffset: FileOffset, _ replacing: Replacing, _ vm: VMIdentity
  ) throws(ImageError) {
    guard case .images = replacing else { return }
    let contents = try TargetContents(of: file, streamOffset: streamOffset)
    switch (contents, file.kind) {
    case (.other(let found), .regular): throw .target(.notAnImage(file.path, found: found))
    // A device always holds something; what it is cannot be known of most.
    case (.other(let found?), .blockDevice): throw .target(.notAnImage(file.path, found: found))
    case (.image(let offset), _): try checkOwner(of: file, offset, vm)
    case (.nothing, _), (.blank, _), (.other(nil), .blockDevice): break
    }
  }

  private static func checkOwner(
    of file: ImageFile, _ streamOffset: FileOffset?, _ vm: VMIdentity
  ) throws(ImageError) {
    let found = try VMIdentity(ofImage: file, streamOffset: streamOffset)
    let differences = vm.differences(from: found)
    guard differences.isEmpty else { throw .target(.anotherVM(file.path, differences)) }
  }

  /// Bytes in which all signatures are.
  private static let headByteCount = 0x1_0048

  /// Bytes at a fixed place that tell what a disk holds. What a file begins with is `ForeignFormat`'s.
  private struct Signature {
    let name: String
    let offset: Int
    let bytes: [UInt8]

    init(_ name: String, _ offset: Int, _ bytes: [UInt8]) {
      self.name = name
      self.offset = offset
      self.bytes = bytes
    }

    init(_ name: String, _ offset: Int, _ text: String) {
      self.init(name, offset, Array(text.utf8))
    }

    func isIn(_ head: [UInt8]) -> Bool { head.dropFirst(offset).starts(with: bytes) }
  }

  /// From the documentation of each format: of file systems Linux, Documentation/filesystems; LVM2, lib/format_text/layout.h; GPT,
  /// the UEFI specification, 5.3.
  private static let signatures = [
    Signature("a VMDK disk", 0, "KDMV"),
    Signature("a VHDX disk", 0, "vhdxfile"),
    Signature("a VDI disk", 0x40, [0x7F, 0x10, 0xDA, 0xBE]),
    Signature("an encrypted volume (LUKS)", 0, [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE]),
    Signature("an XFS file system", 0, "XFSB"),
    Signature("an ext2, ext3 or ext4 file system", 0x438, [0x53, 0xEF]),
    Signature("a btrfs file system", 0x1_0040, "_BHRfS_M"),
    Signature("swap space", 0xFF6, "SWAPSPACE2"),
    Signature("an LVM physical volume", 0, "LABELONE"),
    Signature("an LVM physical volume", 0x200, "LABELONE"),
    Signature("an LVM physical volume", 0x400, "LABELONE"),
    Signature("an LVM physical volume", 0x600, "LABELONE"),
    Signature("an ISO 9660 file system", 0x8001, "CD001"),
    Signature("a partition table (GPT)", 0x200, "EFI PART"),
    Signature("a partition table (GPT)", 0x1000, "EFI PART"),
    Signature("a partition table or boot sector", 0x1FE, [0x55, 0xAA]),
  ]
}

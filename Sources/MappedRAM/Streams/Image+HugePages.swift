import LinuxIO
public import MappedRAMFormat
import SystemPackage

extension Image {
  /// The layout in which the image was written; `nil` where its pages are at other places than QEMU and this library put them, or it has
  /// none.
  public var slots: SlotLayout? {
    blocks.isEmpty ? nil : SlotLayout(of: blocks.map(\.layout))
  }

  /// What keeps VMs that run on the image from mapping their memory by huge pages; empty where nothing does, as far as can be told
  /// without reading pages.
  ///
  /// What counts is the largest block: it is the main memory. Other blocks have their own `BlockLayout.fitsHugePages`.
  ///
  /// - Throws: what looking at the file's mount gives.
  public func hugePageObstacles() throws(ImageError) -> [HugePageObstacle] {
    guard let largest = blocks.max(by: { $0.usedLength < $1.usedLength }) else { return [] }
    var found: [HugePageObstacle] = []
    if largest.usedLength.rawValue < SlotLayout.hugePage {
      found.append(.smallBlocks)
    } else if let pages = largest.layout.pages, !largest.layout.fitsHugePages {
      found.append(.pagesOffset(idstr: largest.idstr, found: pages.lowerBound))
    }
    do throws(SystemCallError) {
      if let fileSystem = try FileSystem(at: path) {
        if !HugePageObstacle.fileSystems.contains(fileSystem.type) {
          found.append(.fileSystem(fileSystem.type))
        } else if let ahead = fileSystem.readAheadKiB, HugePageObstacle.isUneven(ahead) {
          found.append(.readAhead(kibibytes: ahead, device: fileSystem.source))
        }
      }
    } catch {
      throw .system(error)
    }
    if TransparentHugePages.areOff { found.append(.disabled) }
    return found
  }
}

/// Why the memory of VMs that run on an image is not mapped by huge pages.
public enum HugePageObstacle: Equatable, Sendable {
  /// No huge page fits into any block.
  case smallBlocks
  /// The pages of the largest block begin at `found`, which is no multiple of 2 MiB.
  case pagesOffset(idstr: String, found: FileOffset)
  /// The image is on a file system of this type, whose page cache has no huge pages as far as is known.
  case fileSystem(String)
  /// The kernel is told to make no huge pages.
  case disabled
  /// What is read ahead of a file on this device leaves parts of it in the page cache that are no huge pages. Others are.
  case readAhead(kibibytes: Int, device: String)

  /// Whether there are huge pages nevertheless, in parts.
  public var isPartial: Bool { if case .readAhead = self { true } else { false } }

  /// Whether so many KiB are read ahead that the kernel uses huge pages for it, but not a whole number of them. (Linux 6.18: of memory
  /// that was read in order, 41 % with 2560 KiB and 67 % with 3072 KiB; all of it with 128 to 2048, 4096, 6144 and 8192.)
  static func isUneven(_ kibibytes: Int) -> Bool { kibibytes > 2048 && kibibytes % 2048 != 0 }

  /// File systems that were seen to do it: ext4 from Linux 6.16 on (which is asked for there, not known), and XFS.
  static let fileSystems = ["ext4", "xfs"]
}

extension HugePageObstacle: CustomStringConvertible {
  /// A sentence.
  public var description: String {
    switch self {
    case .smallBlocks: "No huge page of 2 MiB fits into a RAMBlock."
    case .pagesOffset(let idstr, let found):
      "The pages of RAMBlock \"\(idstr)\" begin at \(found), expected a multiple of 2 MiB; the layout 2M has them there."
    case .fileSystem(let type):
      "The image is on \(type); ext4 (from Linux 6.16 on) and XFS are known to have huge pages."
    case .readAhead(let kibibytes, let device):
      "\(kibibytes) KiB are read ahead of a file on \(device): more than a huge page, and no multiple of 2048 KiB. Set a multiple, or less "
        + "(blockdev --setra 4096), before the image is read."
    case .disabled:
      "The kernel makes no huge pages: /sys/kernel/mm/transparent_hugepage/enabled is \"never\"."
    }
  }
}

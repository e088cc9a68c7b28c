import CLinux
import Glibc
package import SystemPackage

/// An open regular file or block device, with a buffered descriptor and, where possible, a second
/// one that goes past the page cache.
///
/// All offsets and sizes are in bytes. Every method may be called from any thread at any time;
/// calls on overlapping ranges see each other's bytes in no defined order. The descriptors are
/// closed when the last reference goes.
public final class File: Sendable {
  /// The path it was opened by; for messages.
  package let path: FilePath
  /// What it is.
  package let kind: Kind
  /// Whether it does direct I/O, and with which alignment.
  package let directIO: DirectIO

  let buffered: OwnedDescriptor
  /// Keeps the direct descriptor open; `directNumber` is its number.
  private let direct: OwnedDescriptor?
  private let directNumber: CInt
  private let memoryMask: UInt
  private let offsetMask: UInt64

  /// What a `File` can be.
  package enum Kind: Sendable {
    /// A regular file.
    case regular
    /// A block device: of fixed size, without holes.
    case blockDevice
  }

  /// What may be done with a file.
  package enum Access: Sendable {
    /// Reading alone.
    case read
    /// Reading and writing.
    case readWrite

    var flag: CInt { self == .read ? O_RDONLY : O_RDWR }
  }

  init(path: FilePath, kind: Kind, buffered: consuming OwnedDescriptor, direct: consuming Direct) {
    self.path = path
    self.kind = kind
    self.buffered = buffered
    self.directIO = direct.state
    if case .active(let memory, let offset) = direct.state {
      memoryMask = UInt(memory) - 1
      offsetMask = UInt64(offset) - 1
    } else {
      memoryMask = 0
      offsetMask = 0
    }
    self.directNumber = direct.number
    self.direct = direct.takeDescriptor()
  }

  /// The descriptor that goes through the page cache, valid as long as the file is referenced.
  package var bufferedDescriptor: CInt { buffered.rawValue }

  /// The descriptor for one request: the direct one where it is active and the memory's address,
  /// the offset and the length are all aligned, else the buffered one.
  ///
  /// It is valid as long as the file is referenced.
  package func descriptor(offset: UInt64, address: UInt, byteCount: Int) -> CInt {
    isDirect(offset: offset, address: address, byteCount: byteCount)
      ? directNumber : buffered.rawValue
  }

  /// Whether a request with these numbers goes past the page cache.
  package func isDirect(offset: UInt64, address: UInt, byteCount: Int) -> Bool {
    directNumber >= 0
      && address & memoryMask == 0
      && (offset | UInt64(truncatingIfNeeded: byteCount)) & offsetMask == 0
  }

  /// The descriptor for a request that moves `memory` to or from `offset`; only the memory's place and length matter.
  package func descriptor(for memory: UnsafeRawBufferPointer, at offset: UInt64) -> CInt {
    unsafe isDirect(for: memory, at: offset) ? directNumber : buffered.rawValue
  }

  /// Whether such a request goes past the page cache.
  package func isDirect(for memory: UnsafeRawBufferPointer, at offset: UInt64) -> Bool {
    isDirect(
      offset: offset, address: UInt(bitPattern: memory.baseAddress), byteCount: memory.count)
  }
}

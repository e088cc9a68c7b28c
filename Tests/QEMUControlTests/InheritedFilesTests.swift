import Glibc
import LinuxIO
import MappedRAM
import TestSupport
import Testing

@testable import QEMUControl

/// The files that a QEMU has from its start.
@Suite struct InheritedFilesTests {
  /// Where QEMU has other blocks than were expected as it was started, it reads the stream that was written then, and nothing of the first:
  /// also where that was longer.
  @Test func theStreamThatIsWrittenLastIsTheOneThatIsThere() throws {
    let directory = try TemporaryDirectory()
    let image = try Fixture("q35").unpack(into: directory)
    let source = try RestoreSource(image)
    let files = try InheritedFiles(for: source, locksImage: false)
    let all = Set(source.image.blocks.map(\.idstr))
    #expect(all.count > 1)
    var lengths: [Int] = []
    for carried in [all, [], all.subtracting(["pc.ram"]), all] {
      let expected = try File.inMemory(name: "expected", byteCount: 0)
      let capabilities = try source.writeStream(
        to: expected, carrying: carried, Cancellation())
      // Once more changes nothing.
      for _ in 0..<2 {
        #expect(try files.write(source, carrying: carried, Cancellation()) == capabilities)
        let found = try Self.bytes(of: files.descriptors[1])
        #expect(try found == expected.readBytes(at: 0, count: Int(expected.size())))
        lengths.append(found.count)
      }
    }
    #expect(Set(lengths).count == 3 && lengths[0] > lengths[2])
  }

  /// What QEMU reads: all that is in the file behind `descriptor`.
  private static func bytes(of descriptor: CInt) throws -> [UInt8] {
    let end = lseek(descriptor, 0, SEEK_END)
    try #require(end >= 0)
    return unsafe [UInt8](unsafeUninitializedCapacity: Int(end)) { buffer, count in
      count = unsafe max(0, pread(descriptor, buffer.baseAddress, buffer.count, 0))
    }
  }

  /// With a lock, no program that asks for one writes into the image as long as anybody has the descriptor.
  @Test func theLockIsThereAsLongAsItsDescriptor() throws {
    let directory = try TemporaryDirectory()
    let image = try Fixture("q35").unpack(into: directory)
    let other = try File.open(image, access: .readWrite, directIO: .off)
    defer { withExtendedLifetime(other) {} }
    func canBeLocked() -> Bool {
      guard flock(other.bufferedDescriptor, LOCK_EX | LOCK_NB) == 0 else { return false }
      return flock(other.bufferedDescriptor, LOCK_UN) == 0
    }
    do {
      let files = try InheritedFiles(for: try RestoreSource(image), locksImage: true)
      #expect(!canBeLocked())
      // As QEMU has it.
      let copy = dup(files.descriptors[2])
      defer { close(copy) }
      _ = consume files
      #expect(!canBeLocked())
    }
    #expect(canBeLocked())
  }
}

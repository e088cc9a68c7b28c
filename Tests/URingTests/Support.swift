import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import URing

/// A file of random bytes.
struct Scratch {
  let directory: TemporaryDirectory
  let file: File
  let bytes: [UInt8]

  init(byteCount: Int) throws {
    var generator = SeededGenerator()
    directory = try TemporaryDirectory()
    let bytes = generator.bytes(byteCount)
    self.bytes = bytes
    let path = directory.file("scratch")
    let descriptor = try FileDescriptor.open(
      path, .writeOnly, options: [.create], permissions: .ownerReadWrite)
    try descriptor.closeAfter { _ = try descriptor.writeAll(bytes) }
    file = try File.open(path, access: .readWrite)
  }
}

/// A pipe whose ends close with it.
final class Pipe: Sendable {
  let reader: OwnedDescriptor
  let writer: OwnedDescriptor

  init() throws {
    let ends = try FileDescriptor.pipe()
    reader = OwnedDescriptor(owning: ends.readEnd.rawValue)
    writer = OwnedDescriptor(owning: ends.writeEnd.rawValue)
  }

  func write(_ byte: UInt8) throws(SystemCallError) {
    do {
      _ = try FileDescriptor(rawValue: writer.rawValue).writeAll([byte])
    } catch {
      throw SystemCallError(call: .write, errno: .ioError, subject: .process)
    }
  }
}

extension Ring {
  /// One read, waited for.
  @unsafe
  mutating func read(
    _ file: File, _ memory: Slice<UnsafeMutableRawBufferPointer>, at offset: UInt64
  ) throws -> Int32 {
    unsafe prepareRead(
      descriptor: file.bufferedDescriptor,
      into: UnsafeMutableRawBufferPointer(rebasing: memory), offset: offset, tag: 0)
    return try finishAll()[0] ?? -1
  }

  /// One write, waited for.
  @unsafe
  mutating func write(
    _ file: File, _ memory: Slice<UnsafeMutableRawBufferPointer>, at offset: UInt64
  ) throws -> Int32 {
    unsafe prepareWrite(
      descriptor: file.bufferedDescriptor,
      from: UnsafeRawBufferPointer(UnsafeMutableRawBufferPointer(rebasing: memory)),
      offset: offset, tag: 0)
    return try finishAll()[0] ?? -1
  }

  /// The results of all requests in flight, by tag.
  mutating func finishAll() throws -> [UInt64: Int32] {
    var results: [UInt64: Int32] = [:]
    while inFlight > 0 {
      try submitAndWait(minimum: 1)
      while let completion = nextCompletion() { results[completion.tag] = completion.result }
    }
    return results
  }
}

/// How many descriptors this process has open.
func openDescriptors() -> Int {
  (CInt(0)..<1024).count { fcntl($0, F_GETFD) != -1 }
}

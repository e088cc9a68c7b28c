import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// A save of another process's memory into an image and back; the process is this one, which the calls do not mind.
@Suite struct ProcessPagesTests {
  private let pageBytes = 4096

  /// Private memory of `count` pages in which only `touched` were written, with bytes of the generator.
  private func privateMemory(
    _ count: Int, touched: [Int], using generator: inout SeededGenerator
  ) throws -> Mapping {
    let mapping = try Mapping(anonymousByteCount: count * pageBytes)
    let result = unsafe madvise(mapping.baseAddress, mapping.byteCount, MADV_NOHUGEPAGE)
    try #require(result == 0)
    for page in touched { mapping.put(generator.bytes(64), at: page * pageBytes + 100) }
    return mapping
  }

  private func pages(of mapping: Mapping, knowsPages: Bool = true) throws -> ProcessPages {
    ProcessPages(
      ProcessMemory(of: getpid()), at: mapping.address, byteCount: UInt64(mapping.byteCount),
      pageMap: knowsPages ? try PageMap(of: getpid()) : nil)
  }

  /// Memory that was touched here and there is saved and read back, and nothing of the rest has become present.
  @Test(arguments: [1, 256, 700])
  func privateMemoryIsSavedWithoutTouchingTheRest(count: Int) throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let touched = stride(from: 0, to: count, by: 41).map { $0 }
    let mapping = try privateMemory(count, touched: touched, using: &generator)
    let source = try pages(of: mapping)
    #expect(!source.startsZero)
    let report = try saveAlone(source, to: directory.file("a"))
    #expect(report.totals.bytesRead == UInt64(touched.count * pageBytes))
    #expect(report.presentBytes == UInt64(touched.count * pageBytes))
    #expect(try mapping.presentPages() == touched.count)
    #expect(try restoreToMemory(directory.file("a")) == [mapping.allBytes])
  }

  @Test func memoryThatWasNeverTouchedStartsAsZeros() throws {
    var generator = SeededGenerator()
    let mapping = try privateMemory(5000, touched: [], using: &generator)
    let fresh = try pages(of: mapping)
    #expect(fresh.startsZero && fresh.byteCount == UInt64(5000 * pageBytes))
    #expect(try fresh.nextData(in: 0..<fresh.byteCount) == nil)
    #expect(try fresh.nextData(in: 5..<5) == nil)
    mapping.put([1], at: 4999 * pageBytes)
    #expect(try !pages(of: mapping).startsZero)
    #expect(
      try fresh.nextData(in: 0..<fresh.byteCount) == UInt64(4999 * pageBytes)..<fresh.byteCount)
    #expect(try fresh.nextData(in: 7..<UInt64(4999 * pageBytes)) == nil)
  }

  /// Into memory that starts as zeros, and into memory with other bytes.
  @Test(arguments: [false, true])
  func aRestoreReachesTheMemory(startsZero: Bool) throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let source = try privateMemory(600, touched: [0, 1, 255, 256, 599], using: &generator)
    _ = try saveAlone(try pages(of: source), to: directory.file("a"))
    let target = try privateMemory(
      600, touched: startsZero ? [] : Array(0..<600), using: &generator)
    let targetPages = try pages(of: target)
    #expect(targetPages.startsZero == startsZero)
    _ = try ImageRestore(try File.open(directory.file("a"), access: .read)).run { _ in targetPages }
    #expect(try target.presentPages() == (startsZero ? 5 : 600))
    #expect(target.allBytes == source.allBytes)
  }

  /// Where nothing can be told, all is read and all is written, and the bytes are right.
  @Test func memoryOfUnknownBackingIsReadAndWrittenWhole() throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let mapping = try privateMemory(300, touched: [7], using: &generator)
    let source = try pages(of: mapping, knowsPages: false)
    #expect(!source.startsZero)
    #expect(try source.nextData(in: 0..<source.byteCount) == 0..<source.byteCount)
    #expect(try source.nextData(in: 8..<8) == nil)
    let report = try saveAlone(source, to: directory.file("a"))
    #expect(report.totals.bytesRead == UInt64(300 * pageBytes))
    #expect(try restoreToMemory(directory.file("a")) == [mapping.allBytes])
    let target = try privateMemory(300, touched: [1, 7, 8], using: &generator)
    let targetPages = try pages(of: target, knowsPages: false)
    _ = try ImageRestore(try File.open(directory.file("a"), access: .read)).run { _ in targetPages }
    #expect(target.allBytes == mapping.allBytes)
  }

  /// Without a process the save fails with the reason, and leaves no file.
  @Test func memoryOfNoProcessIsAnError() throws {
    let directory = try TemporaryDirectory()
    let source = ProcessPages(
      ProcessMemory(of: Int32.max), at: 1 << 32, byteCount: UInt64(300 * pageBytes))
    let error = #expect(throws: ImageError.self) {
      try saveAlone(source, to: directory.file("a"))
    }
    guard case .system(let reason)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.errno == .noSuchProcess && reason.call == .process_vm_readv)
    #expect(throws: SystemCallError.self) { try File.open(directory.file("a"), access: .read) }
  }
}

extension Mapping {
  var address: UInt64 { UInt64(UInt(bitPattern: unsafe baseAddress)) }

  /// How many pages this process has of it, by its page map, read without the code under test.
  func presentPages() throws -> Int {
    let map = try FileDescriptor.open(FilePath("/proc/self/pagemap"), .readOnly)
    var entries = [UInt64](repeating: 0, count: byteCount / 4096)
    let got = try map.closeAfter {
      try unsafe entries.withUnsafeMutableBytes {
        try unsafe map.read(fromAbsoluteOffset: Int64(address / 4096 * 8), into: $0)
      }
    }
    try #require(got == entries.count * 8)
    return entries.count { $0 >> 62 != 0 }
  }
}

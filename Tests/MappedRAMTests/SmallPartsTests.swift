import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// How a block is dealt into extents.
@Suite struct ExtentPlanTests {
  /// Every byte is in one extent, each extent has whole bitmap words, and only the last is shorter.
  @Test(arguments: [1, 63, 64, 65, 255, 256, 257, 1024, 4097], [1024, 4096, 8192, 65536])
  func coverEachByteOnce(_ pageCount: Int, _ pageBytes: UInt64) throws {
    let pageSize = try #require(PageSize(byteCount: pageBytes))
    for requestBytes in [64 << 10, 1 << 20, 16 << 20] {
      let extentBytes = ExtentPlan.extentBytes(for: pageSize, requestBytes: requestBytes)
      let total = UInt64(pageCount) * pageBytes
      let extents = ExtentPlan(byteCount: total, pageSize: pageSize, extentBytes: extentBytes)
      var end: UInt64 = 0
      for index in 0..<extents.count {
        let bytes = extents.bytes(index)
        #expect(bytes.lowerBound == end && !bytes.isEmpty)
        let pages = extents.pages(at: bytes.lowerBound, count: bytes.count)
        #expect(pages.lowerBound % 64 == 0)
        #expect(index == extents.count - 1 || pages.count % 64 == 0)
        end = bytes.upperBound
      }
      #expect(end == total)
    }
  }
}

/// Finding zero pages.
@Suite struct ZeroScanTests {
  /// One byte anywhere in a page makes it other than zero, wherever the page lies in memory.
  @Test(arguments: [1024, 4096, 65536], [0, 8, 24])
  func aSingleByteCounts(_ count: Int, _ shift: Int) throws {
    let memory = try MemoryPages(byteCount: count + shift)
    func isZero() -> Bool {
      unsafe memory.withUnsafeMutableBytes { bytes in
        unsafe ZeroScan.isZero(UnsafeRawBufferPointer(rebasing: bytes[shift...]))
      }
    }
    #expect(isZero())
    for place in Set([0, 1, 63, 64, 255, 256, count / 2, count - 1]) {
      memory.put([1], at: shift + place)
      #expect(!isZero(), "byte \(place)")
      memory.put([0], at: shift + place)
    }
    #expect(isZero())
  }
}

/// Names of files for RAMBlocks.
@Suite struct FileNameTests {
  @Test(arguments: [
    ("pc.ram", "pc.ram.ram"),
    ("/rom@etc/acpi/tables", "%2From@etc%2Facpi%2Ftables.ram"),
    ("0000:00:01.0/vga.vram", "0000:00:01.0%2Fvga.vram.ram"),
    ("..", "%2E..ram"),
    (".hidden", "%2Ehidden.ram"),
    ("100% a*b", "100%25%20a%2Ab.ram"),
  ])
  func unsafeBytesArePercentEncoded(_ idstr: String, _ name: String) {
    #expect(FileName.ofBlock(idstr, index: 0) == name)
  }

  /// The longest names still fit a file system's 255 bytes, and stay apart by the block's number.
  @Test func longNamesFitAndStayApart() {
    let long = String(repeating: "/", count: 255)
    let names = [0, 1, 4095].map { FileName.ofBlock(long, index: $0) }
    #expect(names.allSatisfy { $0.utf8.count <= 255 && FileName.isPlain($0) })
    #expect(Set(names).count == 3)
    let limit = String(repeating: "a", count: 251)
    #expect(FileName.ofBlock(limit, index: 0) == limit + ".ram")
  }

  @Test(arguments: ["", ".", "..", "a/b", "/etc/passwd", "../x", "a\0b"])
  func aNameThatLeadsElsewhereIsNotPlain(_ name: String) {
    #expect(!FileName.isPlain(name))
  }
}

/// Versions of machine types.
@Suite struct MachineVersionTests {
  @Test(arguments: [
    ("pc-q35-10.0", true), ("pc-i440fx-10.1", true), ("pc-q35-9.2", false), ("virt-11.0", true),
    ("microvm", false), ("none", false), ("pc-q35-9.10", false), ("", false),
  ])
  func fromTenOnSwitchoverStartIsWritten(_ machine: String, _ isWritten: Bool) {
    let version = MachineVersion(of: machine)
    #expect((version?.announcesSwitchover ?? false) == isWritten)
  }
}

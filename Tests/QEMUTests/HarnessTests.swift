import Foundation
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// What the other suites with a real QEMU rely on, shown with QEMU saving and loading by itself.
  @Suite struct HarnessTests {
    /// Saves a running guest and loads it into a second QEMU: both print one unbroken count with the
    /// right sum, and what is in the image's RAM block, the guest's memory and the pattern's
    /// definition agree.
    @Test(arguments: [nil, 1, 3])
    func guestGoesOnWhereItWasSaved(channels: Int?) throws {
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let guest = BootSectorGuest(end: 0x60_0000, mask: 7, seed: 0x1234_5678)
      let configuration = QEMU.Configuration(guest: guest, mebibytes: 8)
      var how = QEMU.FileMigration()
      how.channels = channels
      how.isDirect = channels == 3

      let source = try QEMU(configuration)
      try source.waitForGuestLines(3)
      try source.save(to: image, how)
      #expect(try source.status() == "postmigrate")
      let memory = try source.physicalMemory(at: 0x10_0000, count: 0x50_0000)
      for page in stride(from: 0, to: memory.count, by: 4096) {
        let address = BootSectorGuest.start + UInt32(page)
        try #require(Array(memory[page..<page + 4096]) == guest.page(at: address))
      }
      let found = try ImageDecoderOracle.read(image)
      #expect(found.complete == true)
      #expect(found.blocks?.first?.idstr == "pc.ram")

      let target = try QEMU(configuration.destination)
      try target.load(from: image, how)
      #expect(try target.status() == "paused")
      #expect(try target.physicalMemory(at: 0x10_0000, count: 0x50_0000) == memory)
      try target.resume()
      try target.waitForLineEnds(3)
      try target.stop()
      try expectLines(of: source.serial + target.serial, sum: guest.sum)
      try target.quit()
      #expect(!target.isRunning)
    }

    /// A QEMU that cannot start says why.
    @Test func startFailureNamesQEMUsReason() throws {
      var configuration = QEMU.Configuration()
      configuration.machine = "no-such-machine"
      #expect {
        _ = try QEMU(configuration)
      } throws: { error in
        "\(error)".contains("no-such-machine")
      }
    }

    /// A file that QEMU refuses ends the load with QEMU's reason, not with a time-out.
    @Test func refusedImageNamesQEMUsReason() throws {
      let directory = try TemporaryDirectory()
      let image = directory.file("text.img")
      try Data("This is no image of a VM.".utf8).write(to: URL(fileURLWithPath: image.string))
      let target = try QEMU(QEMU.Configuration().destination)
      #expect {
        try target.load(from: image)
      } throws: { error in
        "\(error)".contains("Not a migration stream")
      }
    }

    /// The process is gone when the last reference is.
    @Test func lastReferenceKillsTheProcess() throws {
      var configuration = QEMU.Configuration()
      configuration.paused = true
      var qemu: QEMU? = try QEMU(configuration)
      let process = try #require(qemu?.processID)
      #expect(FileManager.default.fileExists(atPath: "/proc/\(process)/exe"))
      qemu = nil
      #expect(!FileManager.default.fileExists(atPath: "/proc/\(process)/exe"))
    }
  }
}

/// The packed fixtures are what their expectations say.
@Suite struct FixtureTests {
  /// Unpacks each fixture and reads it anew with the independent reader.
  @Test(.enabled(if: ImageDecoderOracle.isAvailable, "needs python3"), arguments: Fixture.complete)
  func unpackedFixtureIsAsExpected(fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let image = try fixture.unpack(into: directory)
    let offset: UInt64 = fixture.expected.libvirt == nil ? fixture.expected.streamOffset : 0
    let found = try ImageDecoderOracle.read(image, offset: offset)
    #expect(found.fileSize == fixture.expected.fileSize)
    #expect(found.blocks?.map(\.sha256) == fixture.expected.blocks?.map(\.sha256))
    #expect(found.blocks?.map(\.stale) == fixture.expected.blocks?.map(\.stale))
    #expect(found.sections.map(\.offset) == fixture.expected.sections.map(\.offset))
  }

  /// The pages that the file has no data for are holes after unpacking: tests that count allocated
  /// blocks can rely on it. File systems allocate in units of 4096 bytes or, for some, a little
  /// more.
  @Test(arguments: Fixture.all)
  func unpackedFixtureIsSparse(fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let image = try fixture.unpack(into: directory)
    let answer = try Subprocess.succeed(["stat", "-c", "%s %b", image.string]).text
    let words = answer.split { $0 == " " || $0 == "\n" }.compactMap { UInt64($0) }
    let data = try #require(fixture.expected.dataBytes)
    #expect(words[0] == fixture.expected.fileSize)
    #expect(words[1] * 512 <= data + data / 4 + 65536)
  }

  /// The damaged files are there, one for each line that the script prints.
  @Test(.enabled(if: ImageDecoderOracle.isAvailable, "needs python3"))
  func damagedFilesAreMade() throws {
    let directory = try TemporaryDirectory()
    let files = try DamagedFile.all(in: directory)
    #expect(files.count > 100)
    for file in files {
      #expect(
        try Subprocess.run(["test", "-e", file.path.string, "-o", "-L", file.path.string]).status
          == 0)
    }
  }
}

import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// The files that `Fixtures/damage` makes: every one is refused.
@Suite(.enabled(if: ImageDecoderOracle.isAvailable, "needs python3"))
struct DamagedFileTests {
  /// Reads each file and restores it, into a directory that is there and into one that is not: each time there is
  /// one sentence that names the file, in less than a second, and no file is left.
  @Test func everyDamagedFileIsRefusedAndNothingIsLeft() throws {
    let directory = try TemporaryDirectory()
    let files = try DamagedFile.all(in: directory)
    #expect(files.count >= 60)
    let existing = directory.file("existing")
    try FileManager.default.createDirectory(
      atPath: existing.string, withIntermediateDirectories: false)
    for damaged in files {
      try expectProblem(damaged)
      try expectRefusal(damaged, to: existing, ChannelOptions())
      #expect(try names(in: existing) == [], "\(damaged)")
      try expectRefusal(damaged, to: directory.file("new"), HostileImage.options)
      #expect(!FileManager.default.fileExists(atPath: directory.file("new").string), "\(damaged)")
    }
  }

  /// What a directory held before stands there still after a restore that was refused.
  @Test func refusedRestoreKeepsWhatWasThere() throws {
    let tiny = try HostileImage()
    let directory = tiny.directory.file("apart")
    _ = try DirectoryRestore(ImageRestore(tiny.file), to: directory).run()
    let before = try names(in: directory)
    #expect(before.count == 4)
    let sums = try before.map { try sha256(directory.appending($0)) }
    try tiny.file.truncate(to: tiny.eof)
    #expect(throws: ImageError.self) {
      try DirectoryRestore(ImageRestore(tiny.file), to: directory).run()
    }
    #expect(try names(in: directory) == before)
    #expect(try before.map { try sha256(directory.appending($0)) } == sums)
  }

  /// Opening fails, or reading finds a problem: in time, and in one sentence.
  private func expectProblem(_ damaged: DamagedFile) throws {
    let start = ContinuousClock.now
    do throws(ImageError) {
      let file = try opened(damaged.path)
      let image = try Image(reading: file)
      #expect(!image.problems.isEmpty, "\(damaged): \(damaged.fault)")
      #expect(!image.isComplete, "\(damaged)")
      for problem in image.problems {
        expectOneSentence(
          "\(ImageError.format(problem, in: damaged.path))", about: damaged.path, damaged.name)
      }
    } catch {
      #expect(damaged.name.hasPrefix("kind-"), "\(damaged): \(error)")
      expectOneSentence("\(error)", about: damaged.path, damaged.name)
    }
    #expect(ContinuousClock.now - start < .seconds(1), "\(damaged)")
  }

  private func expectRefusal(
    _ damaged: DamagedFile, to directory: FilePath, _ options: ChannelOptions
  ) throws {
    let start = ContinuousClock.now
    do throws(ImageError) {
      let file = try opened(damaged.path)
      _ = try DirectoryRestore(ImageRestore(file, options: options), to: directory).run()
      Issue.record("\(damaged) was restored: \(damaged.fault)")
    } catch {
      switch error {
      case .format(_, let path): #expect(path == damaged.path, "\(damaged)")
      case .system: #expect(damaged.name.hasPrefix("kind-"), "\(damaged)")
      default: Issue.record("\(damaged): \(error)")
      }
      expectOneSentence("\(error)", about: damaged.path, damaged.name)
    }
    #expect(ContinuousClock.now - start < .seconds(1), "\(damaged)")
  }

  private func opened(_ path: FilePath) throws(ImageError) -> File {
    do throws(SystemCallError) { return try File.open(path, access: .read) } catch {
      throw .system(error)
    }
  }

  private func names(in directory: FilePath) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.string).sorted()
  }
}

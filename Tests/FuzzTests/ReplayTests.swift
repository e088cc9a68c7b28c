import Foundation
import FuzzTargets
import LinuxIO
import SystemPackage
import TestSupport
import Testing

/// What the fuzzers of Tests/Fuzz begin with, and what they have found, in the order of an ordinary test.
@Suite struct ReplayTests {
  /// A seed that its target refuses is of no use to a fuzzer.
  @Test(arguments: FuzzTarget.allCases)
  func seedsAreTakenForWhatTheyAre(target: FuzzTarget) throws {
    #expect(!target.seeds.isEmpty)
    for seed in target.seeds {
      #expect(try target.run(seed.bytes), "\(seed)")
      #expect(seed.bytes.count <= target.maximumByteCount, "\(seed)")
    }
  }

  @Test(arguments: Fixture.all)
  func seedsOfImagesOfQEMUAreTaken(fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let image = try fixture.unpack(into: directory)
    for target in FuzzTarget.allCases {
      for seed in try target.seeds(fromImageAt: image, named: fixture.name) {
        let isWhole = fixture.expected.error == nil
        #expect(
          try target.run(seed.bytes) == isWhole || target == .description, "\(target): \(seed)")
        #expect(seed.bytes.count <= target.maximumByteCount, "\(target): \(seed)")
      }
    }
  }

  /// Seeds that were cut anywhere, and seeds with a byte changed anywhere, as a fuzzer would begin.
  @Test(arguments: FuzzTarget.allCases)
  func damagedSeedsAreNoFindings(target: FuzzTarget) throws {
    var generator = SeededGenerator()
    for seed in target.seeds {
      for _ in 0..<100 {
        var bytes = seed.bytes
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        bytes[place] = UInt8.random(in: 0...255, using: &generator)
        _ = try target.run(bytes)
        _ = try target.run(Array(seed.bytes[..<place]))
      }
    }
  }

  /// What was a finding once is none any more.
  @Test(arguments: FoundCase.all)
  func foundCasesAreMended(found: FoundCase) throws {
    _ = try found.target.run(found.bytes)
  }
}

/// A file below Cases: bytes that were a finding.
struct FoundCase: Sendable, CustomStringConvertible {
  var target: FuzzTarget
  var name: String
  var bytes: [UInt8]

  var description: String { "\(target.rawValue)/\(name)" }

  static let all: [FoundCase] = {
    let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Cases")
    return FuzzTarget.allCases.flatMap { target -> [FoundCase] in
      let place = directory.appendingPathComponent(target.rawValue)
      guard let names = try? FileManager.default.contentsOfDirectory(atPath: place.path) else {
        // A target of which nothing has been found.
        return []
      }
      return names.sorted().map { name in
        do {
          let data = try Data(contentsOf: place.appendingPathComponent(name))
          return FoundCase(target: target, name: name, bytes: Array(data))
        } catch {
          preconditionFailure("\(place.path)/\(name): \(error)")
        }
      }
    }
  }()
}

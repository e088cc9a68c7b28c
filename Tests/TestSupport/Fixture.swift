import Foundation
package import SystemPackage

/// One of the images in `Fixtures/`: made by a real QEMU, packed with its holes.
package struct Fixture: Sendable, CustomStringConvertible {
  /// Its name, as in `Fixtures/README.md`.
  package let name: String
  /// What must be found in it, by an independent reader (`Tests/Reference/read_image.py`).
  package let expected: FixtureExpectation

  /// The name, for the test's report.
  package var description: String { name }

  /// All fixtures, by name.
  package static let all: [Fixture] = {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: directory.string)
        .filter { $0.hasSuffix(suffix) }.sorted()
        .map { try Fixture(String($0.dropLast(suffix.count))) }
    } catch {
      preconditionFailure("\(directory): \(error)")
    }
  }()

  /// Those that are whole images, so that a reader must accept them.
  package static var complete: [Fixture] { all.filter { $0.expected.error == nil } }

  /// The fixture of that name.
  package init(_ name: String) throws {
    self.name = name
    let path = Self.directory.appending(name + Self.suffix)
    do {
      let data = try Data(contentsOf: URL(fileURLWithPath: path.string))
      expected = try JSONDecoder().decode(FixtureExpectation.self, from: data)
    } catch {
      throw HarnessError("\(path): \(error)")
    }
  }

  /// Unpacks the image as `NAME.img` into `directory`, with the holes that QEMU left, and gives its
  /// path.
  package func unpack(into directory: TemporaryDirectory) throws -> FilePath {
    let packed = Self.directory.appending(name + ".tar.xz")
    try Subprocess.succeed(["tar", "-xJf", packed.string, "-C", directory.path.string])
    return directory.file(name + ".img")
  }

  private static let directory = Repository.file("Fixtures")
  private static let suffix = ".expected.json"
}

/// The independent reader, for images that a test made.
package enum ImageDecoderOracle {
  /// What `Tests/Reference/read_image.py` finds in the image at `path`, whose stream begins at
  /// `offset`.
  /// - Throws: `HarnessError` with its message where it refuses the image.
  package static func read(_ path: FilePath, offset: UInt64 = 0) throws -> FixtureExpectation {
    let script = Repository.file("Tests/Reference/read_image.py")
    let result = try Subprocess.succeed(
      ["python3", script.string, "--offset", String(offset), path.string])
    return try JSONDecoder().decode(FixtureExpectation.self, from: Data(result.output))
  }

  /// Whether `python3` is there.
  package static let isAvailable = (try? Subprocess.run(["python3", "--version"]).status) == 0
}

package import SystemPackage

/// A file that `Fixtures/damage` derived from a fixture and that every reader must refuse.
package struct DamagedFile: Sendable, CustomStringConvertible {
  /// The file's name, which names the damage.
  package let name: String
  /// What is wrong, as a sentence.
  package let fault: String
  /// The file; where it is no regular file, a directory or a symbolic link.
  package let path: FilePath

  /// The name, for the test's report.
  package var description: String { name }

  /// Makes all of them: about 150 files, 130 MB, in some 10 seconds. Each has been refused by the
  /// independent reader.
  ///
  /// - Parameter directory: where to make them. They are there as long as it is.
  package static func all(in directory: TemporaryDirectory) throws -> [DamagedFile] {
    let script = Repository.file("Fixtures/damage")
    let lines = try Subprocess.succeed(["python3", script.string, directory.path.string]).text
    return try lines.split(separator: "\n").map { line in
      guard let colon = line.firstIndex(of: ":") else { throw HarnessError("damage: \(line)") }
      let name = String(line[..<colon])
      return DamagedFile(
        name: name, fault: String(line[line.index(colon, offsetBy: 2)...]),
        path: directory.file(name))
    }
  }
}

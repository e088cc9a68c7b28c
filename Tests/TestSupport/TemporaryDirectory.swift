import Foundation
package import SystemPackage

/// A new directory of its own, removed with all its contents when the last reference goes.
///
/// It is made in `MAPPED_RAM_TEST_DIRECTORY` if that is set (to run tests on another file system),
/// else in the system's directory for temporary files.
package final class TemporaryDirectory: Sendable {
  /// The directory's absolute path.
  package let path: FilePath

  /// Makes the directory.
  package init() throws {
    let parent =
      ProcessInfo.processInfo.environment["MAPPED_RAM_TEST_DIRECTORY"] ?? NSTemporaryDirectory()
    path = FilePath(parent).appending("mapped-ram-\(UUID().uuidString.prefix(13))")
    try FileManager.default.createDirectory(
      atPath: path.string, withIntermediateDirectories: true)
  }

  /// The path of `name` in this directory.
  package func file(_ name: String) -> FilePath {
    path.appending(name)
  }

  /// Makes the directory another user's, so that a program run as that user can make files in it. Needs root.
  package func give(to user: UInt32) throws {
    try FileManager.default.setAttributes(
      [.ownerAccountID: Int(user), .groupOwnerAccountID: Int(user)], ofItemAtPath: path.string)
  }

  /// Shuts other users out of the directory and what is in it.
  package func makePrivate() throws {
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o700], ofItemAtPath: path.string)
  }

  deinit {
    // Clean-up: nobody is left to tell, and the directory is the system's to clean.
    try? FileManager.default.removeItem(atPath: path.string)
  }
}

/// Paths inside this repository, found from where this source file stands.
enum Repository {
  /// The repository's top directory.
  static let root = FilePath(#filePath).removingLastComponent().removingLastComponent()
    .removingLastComponent()

  /// The path of `relative`, counted from the top directory.
  static func file(_ relative: String) -> FilePath {
    root.appending(relative)
  }
}

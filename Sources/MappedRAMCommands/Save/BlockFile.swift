import ArgumentParser
import SystemPackage

/// A RAMBlock and the raw file with its contents, on the command line: `IDSTR=FILE`.
struct BlockFile: Equatable, Sendable, ExpressibleByArgument {
  var idstr: String
  var file: FilePath

  /// What `argument` says: the name is what stands before the first `=`. `nil` where either is empty.
  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
    idstr = String(parts[0])
    file = FilePath(String(parts[1]))
  }

  static let defaultCompletionKind = CompletionKind.file()
}

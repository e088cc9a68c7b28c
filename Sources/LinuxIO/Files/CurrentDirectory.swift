import Glibc
package import SystemPackage

extension FilePath {
  /// The path from the root, for a process that has another working directory than this one.
  package var absolute: FilePath {
    isAbsolute ? self : FilePath(CurrentDirectory.path).pushing(self)
  }
}

/// This process's working directory.
enum CurrentDirectory {
  /// Its path; `/` where it is gone.
  static var path: String {
    // SAFETY: getcwd allocates what it gives, and that is freed here.
    guard let text = unsafe getcwd(nil, 0) else { return "/" }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
  }
}

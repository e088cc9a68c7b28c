import Glibc

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

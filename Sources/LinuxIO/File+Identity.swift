import Glibc

extension File {
  /// What the file is, whatever its path.
  ///
  /// - Throws: what fstat gives.
  public func identity() throws(SystemCallError) -> FileIdentity {
    FileIdentity(try status(of: buffered.rawValue, path))
  }
}

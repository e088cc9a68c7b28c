public import LinuxIO
public import MappedRAMFormat
public import SystemPackage

/// Why a save, a restore or a reading of an image failed.
public enum ImageError: Error, Equatable, Sendable {
  /// The bytes of an image are not right.
  case format(FormatError, in: FilePath)
  /// A system call failed, or a file is not of a kind that can be used.
  case system(SystemCallError)
  /// A file ended while its bytes were being moved: it was cut off under way.
  case endedEarly(FilePath, at: UInt64)
  /// What is asked for does not fit together.
  case plan(PlanError)
  /// Nothing can be put where it is wanted.
  case target(TargetError)
  /// What was saved did not become an image.
  case save(SaveError)
  /// The state of a device could not be saved or loaded.
  case device(DeviceIdentity, DeviceFailure)
  /// The contents of an image are not those that were saved, or it cannot be told.
  case contents(FilePath, ContentsProblem)
  /// A stop was asked for.
  case cancelled
}

/// Why an image's contents are not known to be right.
public enum ContentsProblem: Equatable, Sendable {
  /// It has no sums.
  case noSums
  /// They are damaged themselves: all that is wrong.
  case unreadableSums([ImageVerification.Damage])
  /// They are of another image.
  case foreignSums
  /// This is damaged.
  case damaged([ImageVerification.Damage])
}

/// Calls `body` and gives its error as an `ImageError`.
package func calling<Value: ~Copyable>(
  _ body: () throws(SystemCallError) -> Value
) throws(ImageError) -> Value {
  do throws(SystemCallError) {
    return try body()
  } catch {
    throw .system(error)
  }
}

/// Something that a test needs did not work: a helper program, QEMU, a fixture. Never the thing
/// under test.
public struct HarnessError: Error, CustomStringConvertible {
  /// What did not work, with what the program said.
  public var description: String

  /// An error with this text.
  public init(_ description: String) {
    self.description = description
  }
}

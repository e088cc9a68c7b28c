/// Something that a test needs did not work: a helper program, QEMU, a fixture. Never the thing
/// under test.
package struct HarnessError: Error, CustomStringConvertible {
  /// What did not work, with what the program said.
  package var description: String

  /// An error with this text.
  package init(_ description: String) {
    self.description = description
  }
}

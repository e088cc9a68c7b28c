import SystemPackage

/// What the kernel is told about huge pages that nobody has reserved.
package enum TransparentHugePages {
  /// Whether it makes none, also where a program asks for them. False where it does not say.
  package static var areOff: Bool {
    // A kernel without them has no such file, and one that hides it is taken at its best.
    guard
      let lines = try? ProcessText.lines(of: "/sys/kernel/mm/transparent_hugepage/enabled"),
      let first = lines.first
    else { return false }
    return String(decoding: first, as: UTF8.self).contains("[never]")
  }
}

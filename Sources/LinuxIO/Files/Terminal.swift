import CLinux

/// The terminal that a descriptor may lead to.
package enum Terminal {
  /// Columns of the terminal behind `descriptor`; `nil` where it is none or does not know.
  package static func width(of descriptor: CInt) -> Int? {
    var columns: UInt32 = 0
    // SAFETY: the number is written before the call returns, and is not kept.
    guard unsafe CLinux_terminalWidth(descriptor, &columns) == 0, columns > 0 else { return nil }
    return Int(columns)
  }
}

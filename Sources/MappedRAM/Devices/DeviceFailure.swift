public import LinuxIO
public import LinuxProcesses

/// Why the state of a device could not be saved or loaded.
public enum DeviceFailure: Error, Equatable, Sendable {
  /// A system call failed.
  case system(SystemCallError)
  /// A file is not of a kind that can be used.
  case file(FileError)
  /// The state ended before it had as many bytes as were announced.
  case endedEarly(found: UInt64, expected: UInt64)
  /// There are more bytes of state than were announced.
  case tooLong(expected: UInt64)
  /// The numbers of the buffers are not right.
  case sequence(SequenceProblem)
  /// The device took only some of its buffers.
  case notAllTaken(buffers: Int, of: Int)
  /// A command ended otherwise than with status 0; the last that it wrote to its standard error.
  case command(ChildEnd, message: String)
  /// The device's own code says no, in its own words.
  case refused(String)
  /// All is to stop: somebody else has failed, or a stop was asked for. Not an error of this device.
  case stopped
}

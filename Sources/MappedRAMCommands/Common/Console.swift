import Glibc
import LinuxIO
import SystemPackage

/// Standard output, for data, and standard error, for all else.
///
/// All text goes through here to the terminal, and has no control characters afterwards but newlines.
enum Console {
  /// Writes `text` to standard output.
  ///
  /// A reader that has gone away wanted no more: the process ends at once, with success.
  ///
  /// - Throws: what write(2) gives.
  static func writeOutput(_ text: String) throws(CommandError) {
    do throws(SystemCallError) {
      try write(TerminalText.escaped(text), to: STDOUT_FILENO, named: "standard output")
    } catch  where error.errno == .brokenPipe {
      exit(ExitStatus.success.rawValue)
    } catch {
      throw .system(error)
    }
  }

  /// Tells of what went wrong, in sentences.
  static func complain(_ sentences: String) {
    writeError(TerminalText.message("Error", sentences))
  }

  /// Writes `text` to standard error. If that cannot be written there is nobody left to tell.
  ///
  /// - Parameter erasesLine: whether to erase the line before, of a terminal.
  static func writeError(_ text: String, erasesLine: Bool = false) {
    let erase = erasesLine ? "\r\u{1b}[K" : ""
    do throws(SystemCallError) {
      try write(erase + TerminalText.escaped(text), to: STDERR_FILENO, named: "standard error")
    } catch {
      return
    }
  }

  /// Lets writing to a pipe that nobody reads fail with EPIPE, and not end the process.
  static func ignoreBrokenPipes() {
    _ = signal(SIGPIPE, SIG_IGN)
  }

  /// Whether standard error is a terminal on which a line can be erased.
  static var errorIsTerminal: Bool {
    guard isatty(STDERR_FILENO) == 1 else { return false }
    // SAFETY: nothing in this process changes the environment.
    guard let type = unsafe getenv("TERM") else { return false }
    return unsafe strcmp(type, "dumb") != 0
  }

  private static func write(
    _ text: String, to descriptor: CInt, named name: FilePath
  ) throws(SystemCallError) {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      // SAFETY: the rest of the array, for the time of the call.
      let result = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(descriptor, buffer.baseAddress?.advanced(by: done), bytes.count - done)
      }
      if result >= 0 {
        done += result
        continue
      }
      let errno = Errno(rawValue: Glibc.errno)
      guard errno == .interrupted else {
        throw SystemCallError(call: .write, errno: errno, subject: .file(name))
      }
    }
  }
}

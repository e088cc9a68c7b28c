import Glibc
import LinuxIO
import SystemPackage

/// Standard output, for data, and standard error, for all else.
///
/// All text goes through here to the terminal, and has no control characters afterwards but newlines.
enum Console {
  /// Writes `text` to standard output.
  ///
  /// A reader that has gone away wanted no more: the process ends at once, with `status`.
  ///
  /// - Throws: what write(2) gives.
  static func writeOutput(
    _ text: String, endingWith status: ExitStatus = .success
  ) throws(CommandError) {
    do throws(SystemCallError) {
      try write(TerminalText.escaped(text), to: STDOUT_FILENO, named: "stdout")
    } catch  where error.errno == .brokenPipe {
      exit(status.rawValue)
    } catch {
      throw .system(error)
    }
  }

  /// Tells of what went wrong, in sentences.
  static func complain(_ sentences: String) {
    writeError(TerminalText.message("Error", sentences))
  }

  /// Writes `text` to standard error. If that cannot be written it cannot be told at all.
  ///
  /// - Parameter erasesLine: whether to erase the line before, of a terminal.
  static func writeError(_ text: String, erasesLine: Bool = false) {
    let erase = erasesLine ? "\r\u{1b}[K" : ""
    do throws(SystemCallError) {
      try write(erase + TerminalText.escaped(text), to: STDERR_FILENO, named: "stderr")
    } catch {
      return
    }
  }

  /// Lets writing to a pipe without a reader fail with EPIPE, and not end the process.
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

/// Text as a terminal may have it.
///
/// Names and paths come from images, from QEMU and from arguments. A terminal would take some of their characters for commands,
/// or for an order to show others elsewhere.
enum TerminalText {
  /// `text` with escapes, such as `\u{1B}`, in place of all control characters but newlines, and of what turns the direction of
  /// writing round.
  static func escaped(_ text: String) -> String { escaped(text, but: "\n") }

  /// The same of a text that is to stand on one line.
  static func line(_ text: String) -> String { escaped(text, but: nil) }

  /// A message behind a word that says what it is. Lines after its first one are indented: none looks like another message.
  static func message(_ kind: String, _ text: String) -> String {
    let lines = text.split(separator: "\n").map { $0.hasPrefix("  ") ? String($0) : "  \($0)" }
    return "\(kind): " + lines.joined(separator: "\n").drop { $0 == " " } + "\n"
  }

  /// Whether a terminal may take `scalar` for more than a character: C0, DEL, C1, line separators, and bidirectional controls
  /// (Unicode 16.0, Bidi_Control).
  static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x61C, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }

  /// Whether `text` has control characters besides newlines, as far as single bytes of UTF-8 tell. Most text has none.
  static func mayHaveControls(_ text: String) -> Bool {
    text.utf8.contains { byte in
      byte < 0x20 && byte != 0x0A || byte == 0x7F || byte == 0xC2 || byte == 0xD8 || byte == 0xE2
    }
  }

  private static func escaped(_ text: String, but kept: Unicode.Scalar?) -> String {
    guard kept == nil || mayHaveControls(text) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if scalar == kept || !isControl(scalar) {
        result.append(scalar)
      } else {
        result.append(contentsOf: scalar.escaped(asASCII: true).unicodeScalars)
      }
    }
    return String(result)
  }
}

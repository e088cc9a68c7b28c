/// A command line of QEMU: its program, and its options with their values, as the user typed them.
///
/// What is not understood stays as it is, so `words` gives back what was parsed until something is changed.
package struct QEMUCommandLine: Equatable, Sendable {
  /// The program: a path, or a name that is looked for in PATH.
  package var program: String
  /// What follows it, in its order.
  package var arguments: [Argument]

  /// A part of the command line.
  package enum Argument: Equatable, Sendable {
    /// An option, with its value where it has one.
    case option(Option)
    /// A word that belongs to no option: QEMU takes it for a disk.
    case word(String)
  }

  /// An option of QEMU.
  package struct Option: Equatable, Sendable {
    /// As it was typed: `-m` or `--m`.
    package var spelling: String
    /// Its value, the word behind it.
    package var value: String?

    /// Its name without dashes; `M` is told as `machine`, which it is short for.
    package var name: String {
      let bare = String(spelling.unicodeScalars.drop { $0 == "-" })
      return bare == "M" ? "machine" : bare
    }

    /// An option as it is to stand on the command line.
    package init(_ spelling: String, _ value: String? = nil) {
      self.spelling = spelling
      self.value = value
    }
  }

  /// Takes `words` apart, the program first.
  ///
  /// An option begins with one or two dashes (source: qemu-system(1)). Of an option that is not known, the next
  /// word is the value unless it begins with a dash itself.
  ///
  /// - Throws: `noProgram`, `missingValue`.
  package init(parsing words: [String]) throws(LaunchRefusal) {
    guard let program = words.first, !program.isEmpty else { throw .noProgram }
    self.program = program
    arguments = []
    var rest = words.dropFirst()
    while let word = rest.popFirst() {
      guard Self.beginsWithDash(word), word != "-", word != "--" else {
        arguments.append(.word(word))
        continue
      }
      let dashes = word.utf8.starts(with: "--".utf8) ? 2 : 1
      let name = String(word.unicodeScalars.dropFirst(dashes))
      let takesValue =
        QEMUOptions.takesValue(name) ?? !(rest.first.map(Self.beginsWithDash) ?? true)
      var option = Option(word)
      if takesValue {
        guard let value = rest.popFirst() else { throw .missingValue(option: word) }
        option.value = value
      }
      arguments.append(.option(option))
    }
  }

  /// As QEMU sees it, byte by byte: also where a combining character follows.
  private static func beginsWithDash(_ word: String) -> Bool {
    word.utf8.first == UInt8(ascii: "-")
  }

  /// The words behind the program, for exec.
  package var words: [String] {
    arguments.flatMap { argument in
      switch argument {
      case .option(let option): [option.spelling] + (option.value.map { [$0] } ?? [])
      case .word(let word): [word]
      }
    }
  }

  /// All options, in their order.
  package var options: [Option] {
    arguments.compactMap { if case .option(let option) = $0 { option } else { nil } }
  }

  /// The values of the options named `name`, in their order.
  package func values(of name: String) -> [String] {
    options.filter { $0.name == name }.compactMap(\.value)
  }

  /// Whether there is an option named `name`.
  package func has(_ name: String) -> Bool { options.contains { $0.name == name } }

  /// Whether QEMU was asked to keep its processors stopped (`-S`).
  package var startsPaused: Bool { has("S") }

  /// Puts an option behind all others.
  package mutating func append(_ spelling: String, _ value: String? = nil) {
    arguments.append(.option(Option(spelling, value)))
  }

  /// Takes out every option named `name`. Whether there was one.
  @discardableResult
  package mutating func remove(_ name: String) -> Bool {
    let before = arguments.count
    arguments.removeAll { if case .option(let option) = $0 { option.name == name } else { false } }
    return arguments.count < before
  }
}

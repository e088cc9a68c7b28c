import ArgumentParser
import LinuxIO
import MappedRAMBench
import SystemPackage

/// What is said of a command line before the parser reads it: of verbs that do not exist, and of forms that the verbs once had.
enum CommandLineCheck {
  /// What is wrong with `words`, the command line without the program; `nil` if the parser may have it.
  static func complaint(about words: [String]) -> String? {
    guard let verb = words.first, !verb.hasPrefix("-") else { return nil }
    if verb == "help" {
      guard let topic = words.dropFirst().first, !topic.hasPrefix("-") else { return nil }
      return unknown(topic)
    }
    return unknown(verb)
      ?? newForm(of: words).map {
        "This is an old form of the command. Type: \(CommandLine.text($0))"
      }
  }

  /// The verbs that the help lists.
  private static var verbs: [String] {
    MappedRAMCommand.configuration.subcommands.map { $0.configuration }
      .filter(\.shouldDisplay).compactMap(\.commandName)
  }

  /// The verb that `words` begin with, if there is one.
  static func verb(of words: [String]) -> String? {
    words.first.flatMap { verbs.contains($0) ? $0 : nil }
  }

  /// Where `words`, which may be a command line that is not right, ask for JSON.
  static func jsonAskedFor(in words: [String]) -> (onStderr: Bool, onStdout: Bool) {
    let options = words.prefix { $0 != "--" }
    let isAfterProgress = zip(options, options.dropFirst()).contains {
      $0 == ("--progress", "json")
    }
    return (isAfterProgress || options.contains("--progress=json"), options.contains("--json"))
  }

  private static func unknown(_ verb: String) -> String? {
    guard verb != GuestHolder.verb, !verbs.contains(verb) else { return nil }
    let nearest = verbs.map { (verb: $0, distance: distance($0, verb)) }
      .min { $0.distance < $1.distance }
    let advice =
      if let nearest, nearest.distance < 4, nearest.distance < verb.count {
        "Did you mean '\(nearest.verb)'?"
      } else {
        "There are: \(verbs.joined(separator: ", "))."
      }
    return "There is no command '\(verb)'. \(advice)"
  }

  /// How many characters have to be inserted, removed or replaced to make one of the other (Levenshtein).
  static func distance(_ one: String, _ other: String) -> Int {
    let other = Array(other)
    var row = Array(0...other.count)
    for character in one {
      var diagonal = row[0]
      row[0] += 1
      for (column, candidate) in other.enumerated() {
        let replaced = diagonal + (character == candidate ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
      }
    }
    return row[other.count]
  }

  /// The command line that today does what `words` did once; `nil` if they are no old form.
  private static func newForm(of words: [String]) -> [String]? {
    let end = words.firstIndex(of: "--") ?? words.endIndex
    var rest = Array(words[1..<end])
    func take(_ option: String) -> String? {
      for (index, word) in rest.enumerated() {
        if word == option, index + 1 < rest.count {
          defer { rest.removeSubrange(index...index + 1) }
          return rest[index + 1]
        }
        if word.hasPrefix(option + "=") {
          rest.remove(at: index)
          return String(word.dropFirst(option.count + 1))
        }
      }
      return nil
    }
    func has(_ option: String) -> Bool {
      rest.contains { $0 == option || $0.hasPrefix(option + "=") }
    }
    var new: [String]?
    switch words[0] {
    case "save":
      if let socket = take("--qmp") {
        new = ["save", socket] + rest
      } else if let directory = take("--from-directory") {
        new = ["pack", directory] + rest
      } else if ["--machine", "--vmstate", "--block", "--page-size"].contains(where: has) {
        new = ["pack", "."] + rest
      }
    case "restore":
      if let socket = take("--qmp") {
        new = ["restore"] + rest + [socket]
      } else if let directory = take("--to-directory") {
        new = ["unpack"] + rest + [directory]
      }
    case "inspect":
      if let socket = take("--qmp") { new = ["inspect", socket] + rest }
    default: break
    }
    let names = ["--max-pause": "--max-downtime", "--when-stuck": "--if-not-converging"]
    let line = new ?? [words[0]] + rest
    let renamed = line.map { word in
      let name = String(word.prefix { $0 != "=" })
      return names[name].map { $0 + word.dropFirst(name.count) } ?? word
    }
    if renamed == line, new == nil { return nil }
    return ["mapped-ram"] + renamed + words[end...]
  }
}

extension CommandLine {
  /// `words` as a shell takes them.
  static func text(_ words: [String]) -> String {
    words.map { word in
      let isPlain =
        !word.isEmpty
        && word.unicodeScalars.allSatisfy {
          ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0)
            || "-_./=:,+@%".unicodeScalars.contains($0)
        }
      return isPlain
        ? word
        : "'"
          + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#)
          + "'"
    }.joined(separator: " ")
  }
}

extension CommandError {
  /// Makes sure that `path` is nothing that another command is for.
  ///
  /// - Parameter other: the command to type, by what is at the path.
  static func check(
    _ path: FilePath, _ other: [InodeType: [String]]
  ) throws(CommandError) {
    guard let found = InodeType(at: path), let words = other[found] else { return }
    throw .otherCommand(path, found: found, words)
  }
}

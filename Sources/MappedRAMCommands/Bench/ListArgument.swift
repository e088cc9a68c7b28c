import ArgumentParser

/// Several values of an option in one word, with commas between: `1,2,4`.
struct ListArgument<Element: ExpressibleByArgument & Equatable & Sendable>: Equatable, Sendable,
  ExpressibleByArgument
{
  /// The values, at least one, each once.
  var elements: [Element]

  /// These values.
  init(_ elements: [Element]) { self.elements = elements }

  /// The values in `argument`; `nil` where one is not right, or stands there twice.
  init?(argument: String) {
    elements = []
    for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let element = Element(argument: String(word)), !elements.contains(element) else {
        return nil
      }
      elements.append(element)
    }
  }

  var defaultValueDescription: String {
    elements.map(\.defaultValueDescription).joined(separator: ",")
  }
}

import MappedRAM
import MappedRAMFormat

/// The table of all sections.
enum SectionsText {
  static func write(_ sections: [ImageSection], to output: (String) -> Void) {
    var table = TextTable([
      .text("Type"), .number("Id"), .text("Idstr"), .number("Instance"), .number("Version"),
      .number("Offset"), .number("Length"),
    ])
    for section in sections {
      let identity = section.identity
      table.add([
        section.type.name, section.id.map { "\($0)" } ?? "",
        identity?.idstr ?? section.command?.code.name ?? "",
        identity.map { "\($0.instanceID)" } ?? "",
        identity.map { "\($0.version)" } ?? "", "\(section.offset)", "\(section.byteCount)",
      ])
    }
    table.write(to: output)
  }
}

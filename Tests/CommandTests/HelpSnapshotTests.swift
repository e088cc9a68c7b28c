import ArgumentParser
import Testing

@testable import MappedRAMCommands

/// The help as files in Snapshots/; `SNAPSHOT_UPDATE=1` writes them anew.
@Suite struct HelpSnapshotTests {
  @Test func theRootsHelp() throws {
    try compare("mapped-ram", MappedRAMCommand.helpMessage(columns: 80))
  }

  @Test func inspectsHelp() throws {
    try compare("inspect", MappedRAMCommand.helpMessage(for: InspectCommand.self, columns: 80))
  }

  @Test func savesHelp() throws {
    try compare("save", MappedRAMCommand.helpMessage(for: SaveCommand.self, columns: 80))
  }

  @Test func restoresHelp() throws {
    try compare("restore", MappedRAMCommand.helpMessage(for: RestoreCommand.self, columns: 80))
  }

  @Test func unpacksHelp() throws {
    try compare("unpack", MappedRAMCommand.helpMessage(for: UnpackCommand.self, columns: 80))
  }

  @Test func packsHelp() throws {
    try compare("pack", MappedRAMCommand.helpMessage(for: PackCommand.self, columns: 80))
  }

  @Test func diffsHelp() throws {
    try compare("diff", MappedRAMCommand.helpMessage(for: DiffCommand.self, columns: 80))
  }

  @Test func verifysHelp() throws {
    try compare("verify", MappedRAMCommand.helpMessage(for: VerifyCommand.self, columns: 80))
  }

  @Test func sealsHelp() throws {
    try compare("seal", MappedRAMCommand.helpMessage(for: SealCommand.self, columns: 80))
  }

  @Test func repairsHelp() throws {
    try compare("repair", MappedRAMCommand.helpMessage(for: RepairCommand.self, columns: 80))
  }

  @Test func compactsHelp() throws {
    try compare("compact", MappedRAMCommand.helpMessage(for: CompactCommand.self, columns: 80))
  }

  @Test func benchsHelp() throws {
    try compare("bench", MappedRAMCommand.helpMessage(for: BenchCommand.self, columns: 80))
  }

  private func compare(_ name: String, _ text: String) throws {
    try expectSnapshot(name, text + "\n")
  }
}

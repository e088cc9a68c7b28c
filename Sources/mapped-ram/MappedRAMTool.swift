import MappedRAMCommands

@main
struct MappedRAMTool {
  static func main() { MappedRAMCommand.run() }
}

@main
struct MappedRAMTool {
  static func main() {}
}

import LinuxIO
import MappedRAM
import SystemPackage

/// Files of text that are made beside the output, like pictures.
enum TextFile {
  /// Lets a file with `text` appear at `path`, whole or not at all.
  static func write(_ text: String, to path: FilePath) throws(CommandError) {
    do throws(FileError) {
      let pending = try PendingFile.create(at: path, directIO: .off)
      do throws(SystemCallError) {
        try pending.file.write(Array(text.utf8), at: 0)
        try pending.commit()
      } catch {
        throw .system(error)
      }
    } catch {
      throw .image(.file(error), output: path)
    }
  }
}

import LinuxIO
import MappedRAM
import SystemPackage

/// Files of text that are made beside the output, like pictures.
enum TextFile {
  /// Lets a file with the picture `text`, an SVG, appear at `path`, whole or not at all.
  ///
  /// - Throws: `notAPicture` where a file is there that is no SVG and not empty.
  static func writePicture(_ text: String, to path: FilePath) throws(CommandError) {
    let mayBeReplaced = try CommandError.image(to: path) { () throws(ImageError) in
      try calling { () throws(SystemCallError) in try Self.mayBeReplaced(path) }
    }
    guard mayBeReplaced else { throw .notAPicture(path) }
    do throws(SystemCallError) {
      let pending = try PendingFile.create(at: path, directIO: .off)
      try pending.file.write(Array(text.utf8), at: 0)
      try pending.commit()
    } catch {
      throw .image(.system(error), output: path)
    }
  }

  /// Whether a picture may take this name: nothing is there, or a picture, or an empty file.
  private static func mayBeReplaced(_ path: FilePath) throws(SystemCallError) -> Bool {
    // What is no file is told when the new one is made.
    guard InodeType(at: path) == .regular else { return true }
    let file = try File.open(path, access: .read, directIO: .off)
    let head = try file.readBytes(at: 0, count: Int(min(try file.size(), 256)))
    let text = String(decoding: head, as: UTF8.self)
    let isPicture = text.hasPrefix("<svg") || text.hasPrefix("<?xml") && text.contains("<svg")
    return isPicture || text.isEmpty
  }
}

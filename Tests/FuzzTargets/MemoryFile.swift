import LinuxIO
import SystemPackage

extension File {
  /// A file in memory of just `bytes`.
  static func holding(_ bytes: [UInt8]) throws(Finding) -> File {
    try succeed("a file in memory") { () throws(SystemCallError) in
      let file = try File.inMemory(name: "fuzz", byteCount: 0)
      try file.write(bytes, at: 0)
      return file
    }
  }

  /// All of the file.
  func contents() throws(Finding) -> [UInt8] {
    try succeed("a file in memory") { () throws(SystemCallError) in
      try readBytes(at: 0, count: Int(try size()))
    }
  }

  /// The bytes of `range`, all of which are there.
  func contents(_ range: Range<UInt64>) throws(Finding) -> [UInt8] {
    let bytes = try succeed("bytes of a file in memory") { () throws(SystemCallError) in
      try readBytes(at: range.lowerBound, count: Int(range.upperBound - range.lowerBound))
    }
    try require(UInt64(bytes.count) == range.upperBound - range.lowerBound, "\(range) is not there")
    return bytes
  }
}

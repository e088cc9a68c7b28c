package import Glibc
import LinuxIO
package import SystemPackage
import Testing

/// Makes a file with `bytes`, without the code under test.
package func makeFile(_ path: FilePath, _ bytes: [UInt8]) throws {
  let descriptor = try FileDescriptor.open(
    path, .writeOnly, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite)
  try descriptor.closeAfter { _ = try descriptor.writeAll(bytes) }
}

/// All bytes of a file, without the code under test.
package func contents(_ path: FilePath) throws -> [UInt8] {
  let descriptor = try FileDescriptor.open(path, .readOnly)
  return try descriptor.closeAfter {
    var all: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let got = try unsafe part.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
      if got == 0 { return all }
      all += part[..<got]
    }
  }
}

/// The names in a directory, sorted, without `.` and `..`.
package func names(in directory: FilePath) throws -> [String] {
  guard let stream = unsafe directory.withPlatformString({ unsafe opendir($0) }) else {
    throw Errno(rawValue: errno)
  }
  defer { unsafe closedir(stream) }
  var found: [String] = []
  while let entry = unsafe readdir(stream) {
    let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != ".", name != ".." { found.append(name) }
  }
  return found.sorted()
}

package func status(_ path: FilePath) throws -> stat {
  var found = stat()
  let result = unsafe path.withPlatformString { unsafe lstat($0, &found) }
  if result != 0 { throw Errno(rawValue: errno) }
  return found
}

/// How many descriptors this process has open.
package func openDescriptors() -> Int {
  (CInt(0)..<1024).count { fcntl($0, F_GETFD) != -1 }
}

import LinuxIO
package import SystemPackage

/// Where a file has data: everything else is holes.
package func dataMap(_ path: FilePath) throws -> [Range<UInt64>] {
  let file = try File.open(path, access: .read, directIO: .off)
  let size = try file.size()
  var ranges: [Range<UInt64>] = []
  var position: UInt64 = 0
  while let range = try file.nextData(in: position..<size) {
    ranges.append(range)
    position = range.upperBound
  }
  return ranges
}

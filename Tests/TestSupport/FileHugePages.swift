package import SystemPackage

/// Whether the kernel maps files of a file system by huge pages: tried, since it depends on both.
package enum FileHugePages {
  /// Whether it does for a file in `directory` that is mapped as QEMU maps an image: private, with MADV_HUGEPAGE, nothing of it in the page
  /// cache.
  package static func areMapped(in directory: FilePath) throws -> Bool {
    let file = directory.appending("tried for huge pages")
    defer { _ = try? Subprocess.run(["rm", "-f", file.string]) }
    let result = try Subprocess.succeed(["python3", "-c", script, file.string])
    guard let kibibytes = Int(result.text.filter(\.isNumber)) else {
      throw HarnessError("the mapping of \(file) has \(result.text)")
    }
    return kibibytes >= 2048
  }

  /// Whether it does for files of a file system of this kind, which is mounted for it.
  package static func areMapped(on kind: MountedFileSystem.Kind) -> Bool {
    do {
      let mounted = try MountedFileSystem(kind)
      defer { withExtendedLifetime(mounted) {} }
      try mounted.device?.setReadAhead(kibibytes: 4096)
      return try areMapped(in: mounted.path)
    } catch {
      print("huge pages on \(kind): \(error)")
      return false
    }
  }

  /// Prints the kB of a mapping that are mapped by huge pages. The kernel gives long mappings aligned addresses by itself.
  private static let script = """
    import mmap, os, sys
    file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
    os.write(file, b"x" * (8 << 20))
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    mapping = mmap.mmap(file, 8 << 20, mmap.MAP_PRIVATE, mmap.PROT_READ)
    mapping.madvise(mmap.MADV_HUGEPAGE)
    mapping[::4096]
    inside = False
    for line in open("/proc/self/smaps"):
        if not line.split()[0].endswith(":"):
            inside = sys.argv[1] in line
        elif inside and line.startswith("FilePmdMapped:"):
            print(line.split()[1])
    """
}

/// Command lines of QEMU, a word a line.
enum MadeCommandLine {
  static var seeds: [FuzzSeed] {
    [
      FuzzSeed("plain", words("qemu-system-x86_64 -M q35 -m 128M -nographic disk.img")),
      FuzzSeed(
        "backend",
        words(
          "qemu --m 1G,slots=2 -machine pc,memory-backend=mem0 -S -object "
            + "memory-backend-memfd,id=mem0,size=16M,share=on,hugetlb=on,policy=bind,host-nodes.0=1 -m 16M "
            + "-overcommit mem-lock=on -mem-path /hp -mem-prealloc -readconfig f")),
      FuzzSeed(
        "json",
        words(
          #"qemu -m 64 -object {"qom-type":"memory-backend-ram","id":"mem1","size":16777216,"merge":true} "#
            + #"-device {"driver":"pc-dimm","memdev":"mem1"} -numa node,memdev=mem0 "#
            + "-device virtio-balloon -netdev user,id=n,hostname=a,,b -append a=b")),
    ]
  }

  private static func words(_ text: String) -> [UInt8] {
    Array(text.utf8.map { $0 == UInt8(ascii: " ") ? 0x0A : $0 })
  }
}

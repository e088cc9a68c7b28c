/// What a file may ask for at most. Every count and length that a file gives is held against one of these
/// before anything is allocated.
public enum ImageLimits {
  /// Bytes in an idstr, a machine type's name or a capability's name: the length is one byte, but for the machine
  /// type's, which no real name comes near.
  public static let nameBytes = 255

  /// RAMBlocks in an image. A big guest has some dozens; with a DIMM in each of QEMU's 256 memory slots and a ROM in
  /// each of 1,000 PCI functions it stays below.
  public static let blocks = 4096

  /// Bytes of RAM in all blocks: 64 TiB, four times the largest guest that vendors support today. A block's bitmap
  /// is held in memory, 32 MiB for each TiB with pages of 4 KiB; its place and the pages' must lie inside the file, but a
  /// sparse file takes no space to be that long.
  public static let ramBytes = ByteCount(UInt64(1) << 46)

  /// Capabilities in the CONFIGURATION section; QEMU 11 knows about 30.
  public static let capabilities = 256

  /// Bytes of the JSON device description: 16 MiB, as `descriptionValues` are enough for 13 MB of QEMU's. A guest with 4 CPUs has
  /// 40 kB, one with 1,000 some 5 MB. The text is in memory up to four times while it is read.
  public static let descriptionBytes = ByteCount(UInt64(16) << 20)

  /// Nested values in the JSON device description; QEMU's own stay below 30.
  public static let descriptionDepth = 128

  /// Sections in a stream. A live save writes one PART of RAM per round of its loop: some ten a second where its bandwidth is
  /// limited, and many more where dirty bitmaps keep the loop spinning (7,230 were seen). A section takes 100 bytes of memory.
  public static let sections = 1 << 20

  /// Bytes of a section's body whose end has to be searched for: 16 GiB. A sparse file takes no space to have a body of any length, and
  /// not every file system tells where its holes are.
  ///
  /// A body that the description lists is not searched, nor are those of VFIO devices, which may have some 100 GiB. The largest of
  /// QEMU's others that are in no description: the page table of a ppc64 guest (`spapr/htab`), up to a 128th of its RAM, so that of
  /// 2 TiB fits, and the storage attributes of an s390x guest, a byte for each 4 KiB. Dirty bitmaps have some MiB a section.
  public static let searchedBodyBytes = ByteCount(UInt64(16) << 30)

  /// Records in the sections of VFIO devices: 2^20. One has up to 1 MiB of a device's state (QEMU 10.0, hw/vfio/migration.c), so this is
  /// enough for 1 TiB; behind them the ends of sections are searched for.
  public static let vfioRecords = 1 << 20

  /// Bytes between the CONFIGURATION section and RAM: 16 MiB. It is empty in most images; early devices have some 100 bytes.
  public static let preambleBytes = ByteCount(UInt64(16) << 20)

  /// Bytes of libvirt's XML and cookie with their padding: 16 MiB. libvirt's own are some 100 kB. They are in memory up to four
  /// times while they are read.
  public static let libvirtDataBytes = ByteCount(UInt64(16) << 20)

  /// Areas behind the stream: each kind is there once, and there are a handful of kinds.
  public static let areas = 64

  /// Bytes of the facts of an image: 4 MiB. A long command line has some 10 kB; Linux takes none of more than 2 MiB.
  public static let factsBytes = ByteCount(UInt64(4) << 20)

  /// Spans in an area of sums: one for each section of a device and for what is between blocks and sections.
  public static let spans = 1 << 20

  /// Devices in the area behind the stream: four for each of the 256 functions that a PCI bus has.
  public static let devices = 1024

  /// Buffers of all devices in that area: 1 TiB of state in buffers of 1 MiB. Each takes 48 bytes of memory.
  public static let deviceBuffers = 1 << 20

  /// Bytes of a buffer in that area: 16 MiB, as much as the largest request.
  public static let deviceBufferBytes = 16 << 20
}

import MappedRAMFormat

/// The RAM blocks of an image, for a QEMU that is to run on them.
package struct MappedMemory: Equatable, Sendable {
  /// The image, as QEMU shall open it.
  package var path: String
  /// Its blocks; also those that are not RAM.
  package var blocks: [Block]

  /// A block of the image.
  package struct Block: Equatable, Sendable {
    /// The block's name.
    package var idstr: String
    /// Its used length in bytes, a multiple of the page size.
    package var byteCount: UInt64
    /// Where its first page is, in bytes from the begin of the file; a multiple of the host's page size.
    package var offset: UInt64

    /// Whether huge pages fit into it, and stand at their multiples in the file (`BlockLayout.fitsHugePages`).
    package var fitsHugePages: Bool

    /// A block of its numbers.
    package init(idstr: String, byteCount: UInt64, offset: UInt64, fitsHugePages: Bool = false) {
      self.idstr = idstr
      self.byteCount = byteCount
      self.offset = offset
      self.fitsHugePages = fitsHugePages
    }
  }

  /// What became of the blocks.
  package struct Outcome: Equatable, Sendable {
    /// The names of the blocks that QEMU will map from the image. All others are to be put in place.
    package var mapped: [String] = []
    /// What the user should know.
    package var notes: [LaunchNote] = []

    /// Nothing mapped.
    package init() {}
  }

  /// Whether the kernel is to set memory aside for all pages, as though the guest would write to each of them.
  package var reserves: Bool

  /// The memory of `blocks` in the file at `path`.
  ///
  /// - Parameter reserves: where this is `false`, a guest may have more memory than the host has, and many guests may run on
  ///   one image. QEMU refuses that where `MemoryOvercommit.isStrict`.
  package init(path: String, blocks: [Block], reserves: Bool = true) {
    self.path = path
    self.blocks = blocks
    self.reserves = reserves
  }

  /// The properties with which a backend maps `block`.
  ///
  /// QEMU maps a file at any multiple of 4 KiB. The kernel can use huge pages only where file offset and address agree modulo 2 MiB, and
  /// QEMU has asked it to (`MADV_HUGEPAGE`): `align` is for the address. QEMU rounds the size of its mapping up to it, but not what the
  /// guest has of it (tried on QEMU 10.0.2: 511 MiB).
  ///
  /// Without `readonly=on` QEMU would open the image for writing, and punch holes into it wherever a balloon gives
  /// back pages. With it QEMU refuses to discard a page, and prints so: nothing of the image comes back into
  /// the guest, which just keeps its memory. `rom=off` lets the guest write to its private copies all the same. The last
  /// property settles the block's name, which old machine types derive in another way. (All tried on QEMU 10.0.2: a
  /// Linux guest with virtio-balloon and free page reporting, pc-q35-2.12; both properties are there since 8.2.)
  func properties(of block: Block, id: String) -> [(key: String, value: MappedProperty)] {
    [
      ("qom-type", .text("memory-backend-file")), ("id", .text(id)), ("mem-path", .text(path)),
      ("offset", .bytes(block.offset)), ("size", .bytes(block.byteCount)),
      ("share", .isOn(false)), ("readonly", .isOn(true)), ("rom", .text("off")),
    ] + (block.fitsHugePages ? [("align", .bytes(SlotLayout.hugePage))] : []) + [
      (
        "x-use-canonical-path-for-ramblock-id",
        .isOn(block.idstr == Self.canonicalName(of: id))
      )
    ] + (reserves ? [] : [("reserve", .isOn(false))])
  }

  /// The block whose memory is that of the backend `id`.
  func block(ofBackend id: String) -> Block? {
    blocks.first { $0.idstr == id || $0.idstr == Self.canonicalName(of: id) }
  }

  /// The block that is the main memory of a VM without backends.
  var mainBlock: Block? { blocks.first { Self.mainNames.contains($0.idstr) } }

  private static func canonicalName(of id: String) -> String { "/objects/\(id)" }

  /// The names that machine types give their main memory (`default-ram-id` of `query-machines`, all targets of
  /// QEMU 10.0.2).
  private static let mainNames: Set<String> = [
    "pc.ram", "microvm.ram", "mach-virt.ram", "s390.ram", "ppc_spapr.ram", "riscv_virt_board.ram",
    "loongarch.ram", "ram", "sbsa-ref.ram", "m68k_virt.ram", "m68k_mac.ram", "pnv.ram",
    "ppc_core99.ram", "ppc_heathrow.ram", "pegasos2.ram", "mpc8544ds.ram", "ppc4xx.sdram",
    "versatile.ram", "integrator.ram", "highbank.dram", "sabrelite.ram", "ddr-ram", "ddr",
    "cubieboard.ram", "orangepi.ram", "bpim2u.ram", "mcimx6ul-evk.ram", "mcimx7d-sabre.ram",
    "imx25.ram", "imx8mp-evk.ram", "vexpress.highmem", "mps.ram", "DDR", "zynq.ext_ram",
    "riscv.spike.ram", "riscv.sifive.u.ram", "riscv.sifive.e.ram", "riscv.shakti.c.ram",
    "microchip.icicle.kit.ram", "riscv.lowrisc.ibex.ram", "next.ram", "an5206.ram", "mcf5208.ram",
    "kzm.ram", "musicpal.ram", "omap1.dram", "strongarm.sdram", "ext-sdram",
  ]
}

/// A value of a property, for both ways of writing properties.
enum MappedProperty {
  case text(String)
  case bytes(UInt64)
  case isOn(Bool)

  /// In the way of a list, or of a JSON object.
  func value(isJSON: Bool) -> QEMUProperties.Value {
    switch self {
    case .text(let text): .text(text)
    case .bytes(let count): isJSON ? .json(.unsigned(count)) : .text(String(count))
    case .isOn(let isOn): isJSON ? .json(.bool(isOn)) : .text(isOn ? "on" : "off")
    }
  }
}

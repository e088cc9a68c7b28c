import MappedRAMFormat
import Testing

@testable import QEMUControl

/// What to change, by what a block or a device is.
@Suite struct MismatchAdviceTests {
  @Test(
    arguments: [
      (
        .blockSize(idstr: "pc.ram", found: ByteCount(1 << 20), expected: ByteCount(2 << 20)),
        "2M for this block (-m"
      ),
      (
        .blockSize(idstr: "pc.bios", found: ByteCount(1), expected: ByteCount(2)),
        "same firmware (-bios"
      ),
      (
        .blockSize(idstr: "system.flash0", found: ByteCount(1), expected: ByteCount(2)),
        "pflash drives"
      ),
      (.missingBlock(idstr: "virt.flash1", ByteCount(2)), "pflash drives"),
      (.extraBlock(idstr: "system.flash1", ByteCount(2)), "pflash drives"),
      (
        .blockSize(
          idstr: "0000:00:03.0/virtio-net-pci.rom", found: ByteCount(1), expected: ByteCount(2)),
        "give the device the same ROM (romfile="
      ),
      (
        .missingBlock(idstr: "0000:00:03.0/virtio-net-pci.rom", ByteCount(2)),
        "add the device with addr=03.0, as when the VM was saved; if it is there, give it the ROM that it had then (romfile=)"
      ),
      (
        .extraBlock(idstr: "0000:00:03.0/virtio-net-pci.rom", ByteCount(2)), "or its ROM (romfile=)"
      ),
      (
        .blockSize(idstr: "0000:00:01.0/vga.vram", found: ByteCount(1), expected: ByteCount(2)),
        "same size of memory"
      ),
      (
        .missingBlock(idstr: "/rom@etc/acpi/tables", ByteCount(2)),
        "the same QEMU version and firmware"
      ),
      (.missingBlock(idstr: "d0", ByteCount(2)), "a memory backend with id=d0"),
      (.extraDevice(idstr: "kvmclock", instanceID: 0), "start it with -accel tcg"),
      (.missingDevice(idstr: "kvmclock", instanceID: 0), "start it with -accel kvm"),
      (.extraDevice(idstr: "0000:00:03.0/virtio-net", instanceID: 0), "leave it out"),
    ] as [(Mismatch, String)])
  func adviceFits(_ mismatch: Mismatch, _ advice: String) {
    #expect(mismatch.description.contains(advice), "\(mismatch)")
  }
}

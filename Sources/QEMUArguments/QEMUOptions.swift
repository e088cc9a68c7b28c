/// Which of QEMU's options take a value.
///
/// Found by asking the programs themselves: QEMU 10.0.2 (x86_64 and aarch64), given one option and nothing after it,
/// says whether a value is missing. The names that only 9.0 and 9.1 know are from their manual pages.
enum QEMUOptions {
  /// Whether the option `name`, without its dashes, takes the next argument; `nil` for a name that is not known.
  static func takesValue(_ name: String) -> Bool? {
    if withValue.contains(name) { return true }
    if withoutValue.contains(name) { return false }
    return nil
  }

  private static let withValue = names(
    """
    D L M accel acpitable action add-fd append audio audiodev bios blockdev boot cdrom chardev
    chroot compat cpu d debugcon device dfilter display drive dtb dump-vmstate echr fda fdb fsdev
    fw_cfg g gdb global hda hdb hdc hdd icount incoming initrd iscsi k kernel loadvm m machine
    mem-path mon monitor msg mtdblock name net netdev nic numa object option-rom overcommit
    parallel pflash pidfile plugin prom-env qmp qmp-pretty qtest qtest-log readconfig rotate rtc
    run-with runas sandbox sd seed semihosting-config serial set shim smbios smp spice tb-size
    tpmdev trace usbdevice uuid vga virtfs vnc watchdog watchdog-action writeconfig xen-domid
    """)

  private static let withoutValue = names(
    """
    S async-teardown daemonize enable-kvm enable-sync-profile full-screen h help jitdump
    mem-prealloc no-acpi no-fd-bootchk no-hpet no-reboot no-shutdown no-user-config nodefaults
    nographic old-param only-migratable perfmap portrait preconfig s semihosting singlestep
    snapshot usb version win2k-hack xen-attach xen-domid-restrict
    """)

  private static func names(_ text: String) -> Set<String> {
    Set(text.split(whereSeparator: \.isWhitespace).map(String.init))
  }
}

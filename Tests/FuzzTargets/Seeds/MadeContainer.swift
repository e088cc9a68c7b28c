import MappedRAMFormat

/// What libvirt puts before a stream, in small, and the XML alone.
enum MadeContainer {
  static var seeds: [FuzzSeed] {
    [
      FuzzSeed("whole", whole), FuzzSeed("no-cookie", bytes(hasCookie: false)),
      FuzzSeed("big-endian", bytes(isBigEndian: true)), FuzzSeed("xml", Array(xml.utf8)),
    ]
  }

  static var whole: [UInt8] { bytes() }

  private static func bytes(hasCookie: Bool = true, isBigEndian: Bool = false) -> [UInt8] {
    let text = Array(xml.utf8) + [0]
    let data = text + (hasCookie ? Array(cookie.utf8) + [0, 0, 0] : [0, 0])
    var output = ByteOutput()
    output.write("LibvirtQemudSave".utf8)
    for field in [2, UInt32(data.count), 1, 6, hasCookie ? UInt32(text.count) : 0] {
      if isBigEndian { output.writeBigEndian(field) } else { output.writeLittleEndian(field) }
    }
    output.write(repeatElement(0, count: 56))
    output.write(data)
    return output.bytes
  }

  private static let cookie = "<cookie><cpu mode='custom'/></cookie>"

  private static let xml = """
    <?xml version="1.0"?>
    <!-- a domain -->
    <domain type='kvm' id='1'>
      <name>a &amp; b</name>
      <uuid>01020304-0506-0708-090a-0b0c0d0e0f10</uuid>
      <metadata><![CDATA[<x>]]></metadata>
      <memory unit='MiB'>128</memory>
      <vcpu placement='static'>2</vcpu>
      <os><type arch="x86_64" machine='pc-q35-10.0'>hvm</type><boot dev='hd'/></os>
    </domain>
    """
}

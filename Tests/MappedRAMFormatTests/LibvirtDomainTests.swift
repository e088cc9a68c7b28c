import TestSupport
import Testing

@testable import MappedRAMFormat

@Suite struct LibvirtDomainTests {
  @Test func findsTheFactsOfADomain() {
    let xml = """
      <?xml version='1.0'?><!-- <domain><name>no</name></domain> -->
      <!DOCTYPE domain>
      <domain type="kvm">
        <name>a &lt;b&gt; &amp;amp;</name><uuid> 1-2 </uuid>
        <metadata><name>other</name><vcpu>9</vcpu><x:y a='>'/></metadata>
        <memory unit='MiB'>512</memory><currentMemory>7</currentMemory>
        <vcpu placement='static'>4</vcpu>
        <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>
        <devices><disk type='file'><source/></disk></devices>
      </domain>
      """
    let domain = LibvirtDomain(xml: xml)
    #expect(domain.name == "a <b> &amp;")
    #expect(domain.uuid == "1-2")
    #expect(domain.type == "kvm")
    #expect(domain.memoryBytes == 512 << 20)
    #expect(domain.vcpus == 4)
    #expect(domain.architecture == "x86_64")
    #expect(domain.machine == "q35")
  }

  @Test(
    arguments: [
      ("<memory>1</memory>", 1024), ("<memory unit='b'>1</memory>", 1),
      ("<memory unit='KB'>1</memory>", 1000), ("<memory unit='TiB'>1</memory>", 1 << 40),
      ("<memory unit='light-years'>1</memory>", nil), ("<memory>many</memory>", nil),
      ("<memory unit='TiB'>16777216</memory>", nil), ("<memory/>", nil), ("", nil),
    ] as [(String, UInt64?)])
  func readsMemoryInItsUnit(_ element: String, _ bytes: UInt64?) {
    #expect(LibvirtDomain(xml: "<domain>\(element)</domain>").memoryBytes == bytes)
  }

  @Test func elementsAfterOneAnotherHaveTheirOwnPaths() {
    var scanner = XMLScanner("<a><b/><c><d>1</d></c><![CDATA[<x>]]><e f='1' g = \"2\"/></a>".utf8)
    var paths: [[String]] = []
    while let element = scanner.next() {
      paths.append(element.path)
      if element.path.last == "e" { #expect(element.attributes == ["f": "1", "g": "2"]) }
    }
    #expect(paths == [["a"], ["a", "b"], ["a", "c"], ["a", "c", "d"], ["a", "e"]])
  }

  /// Whatever is cut off or changed, the scan ends, with no more elements than there are angle brackets.
  @Test func nonsenseEndsTheScan() {
    let text = Array("<a b='c'><!-- d --><e>&lt;</e><?f?><![CDATA[g]]><h i=\"j\"/></a>".utf8)
    var generator = SeededGenerator()
    func scan(_ bytes: some Sequence<UInt8>) -> Int {
      var scanner = XMLScanner(bytes)
      var count = 0
      while scanner.next() != nil { count += 1 }
      return count
    }
    for length in 0...text.count { #expect(scan(text.prefix(length)) <= 3) }
    for _ in 0..<2000 {
      var bytes = text
      for _ in 0..<3 {
        bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8.random(
          in: 0...255, using: &generator)
      }
      #expect(scan(bytes) <= text.count)
    }
    #expect(scan(Array(repeating: "<a>", count: 100).joined().utf8) == 64)
  }
}

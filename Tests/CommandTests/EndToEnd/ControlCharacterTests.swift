import Foundation
import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// What stands in files, in QEMU's words and in arguments is data: it gives the terminal no commands.
@Suite struct ControlCharacterTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// The image of a fixture in which `found` is `replacement`, which has as many bytes.
  private func image(
    _ name: String, _ found: String, _ replacement: String
  ) throws -> FilePath {
    let image = try Fixture(name).unpack(into: directory)
    let url = URL(fileURLWithPath: image.string)
    var bytes = try Data(contentsOf: url)
    let new = Data(replacement.utf8)
    try #require(found.utf8.count == new.count)
    let places = bytes.ranges(of: Data(found.utf8))
    try #require(!places.isEmpty)
    for place in places { bytes.replaceSubrange(place, with: new) }
    try bytes.write(to: url)
    return image
  }

  private func expectHarmless(
    _ result: Subprocess, _ escaped: String, location: SourceLocation = #_sourceLocation
  ) {
    let text = result.text + result.errors
    #expect(
      text.unicodeScalars.allSatisfy {
        $0 == "\n" || !($0.value < 0x20 || (0x7F..<0xA0).contains($0.value))
      }, sourceLocation: location)
    #expect(text.contains(escaped), "\(text.debugDescription)", sourceLocation: location)
  }

  @Test func theNameOfLibvirtsDomain() throws {
    let image = try image("libvirt", "<name>sparse", "<name>\u{1B}[1\u{9B}\u{7F}")
    let result = try Tool.run(["inspect", image.string])
    expectHarmless(result, #"Domain        \u{1B}[1\u{009B}\u{7F}"#)
    // JSON has its own way.
    let json = try Tool.run(["inspect", image.string, "--json"])
    expectHarmless(json, #""\u001b[1\u009b\u007f""#)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(json.output)) as? [String: Any])
    let libvirt = try #require(object["libvirt"] as? [String: Any])
    #expect((libvirt["name"] as? String)?.elementsEqual("\u{1B}[1\u{9B}\u{7F}") == true)
  }

  @Test func theNameOfAField() throws {
    let image = try image("microvm", "\"cpu_ticks_offset", #""\u001b[31m\u009b"#)
    expectHarmless(
      try Tool.run(["inspect", image.string, "--devices"]), "\n  " + #"\u{1B}[31m\u{009B}: "#)
  }

  /// An image with such a name is none.
  @Test func theNameOfABlock() throws {
    let image = try image("microvm", "microvm.ram", "\u{1B}]0;m\n\r\u{9C}m.")
    expectHarmless(try Tool.run(["inspect", image.string]), "not printable ASCII: 0x1b 0x5d 0x30")
    expectHarmless(
      try Tool.run([
        "unpack", try Fixture("microvm").unpack(into: directory).string,
        directory.file("parts").string, "--block", "\u{1B}c",
      ]), #""\u{1B}c""#)
  }

  @Test func theWordsOfQEMU() throws {
    let listener = try UnixListener(at: directory.file("qmp"))
    let thread = try PosixThread<Void, any Error>(name: "fake QEMU") {
      guard let socket = try listener.accept(deadline: .now + .seconds(60)) else { return }
      let qemu = FakeQEMU(socket)
      qemu.send(FakeQEMU.greeting)
      try qemu.answer()
      guard let request = try qemu.request() else { return }
      qemu.send(
        FakeQEMU.failure("GenericError", "\u{1B}[2J\u{90}no\nError: yes", to: request))
      _ = try qemu.request()
    }
    let result = try Tool.run(["inspect", listener.path.string])
    expectHarmless(result, #": \u{1B}[2J\u{0090}no"#)
    // What looks like another message is set off.
    #expect(result.errors.contains("\n  Error: yes"))
    try thread.join()
  }

  @Test func paths() throws {
    let name = "no\u{1B}[1mfile\tor\u{202E}directory"
    expectHarmless(
      try Tool.run(["inspect", name]), #"Error: no\u{1B}[1mfile\tor\u{202E}directory: "#)
    expectHarmless(
      try Tool.run([
        "unpack", name, directory.file("parts").string,
      ]), #"Error: no\u{1B}[1mfile\tor\u{202E}directory: "#)
  }

  /// Mistakes in arguments are told by the library that reads them.
  @Test func arguments() throws {
    let result = try Tool.run(["inspect", "a", "--pid", "\u{1B}[1m"])
    expectHarmless(result, #"\u{1B}[1m"#)
    #expect(result.status == 64)
    expectHarmless(try Tool.run(["\u{1B}[1m"]), #"\u{1B}[1m"#)
  }
}

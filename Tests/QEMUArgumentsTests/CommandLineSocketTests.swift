import Testing

@testable import QEMUArguments

@Suite struct CommandLineSocketTests {
  @Test(
    arguments: [
      ("-qmp unix:/a,server=on,wait=off", ["/a"]), ("-qmp unix:/a,server,nowait", ["/a"]),
      ("--monitor unix:/a,server=yes", ["/a"]), ("-serial mon:unix:/a,server=on", ["/a"]),
      ("-serial unix:path=/a,server=on", ["/a"]), ("-qmp-pretty unix:/a,,b,server=on", ["/a,b"]),
      ("-chardev socket,id=c,path=/a,server=on", ["/a"]),
      ("-chardev socket,id=c,server=on,wait=off,path=relative", ["relative"]),
      ("-vnc unix:/a", ["/a"]), ("-gdb unix:/a,server=on", ["/a"]),
      ("-spice unix=on,addr=/a", ["/a"]),
      ("-netdev stream,id=n,server=on,addr.type=unix,addr.path=/a", ["/a"]),
      (
        "-netdev {\"type\":\"stream\",\"id\":\"n\",\"server\":true,\"addr.type\":\"unix\",\"addr.path\":\"/a\"}",
        ["/a"]
      ),
      ("-qmp unix:/a,server=on -monitor unix:/b,server=on", ["/a", "/b"]),
      // Clients, and others.
      ("-qmp unix:/a", []), ("-qmp unix:/a,server=off", []), ("-serial file:/a", []),
      ("-chardev socket,id=c,path=/a", []), ("-chardev file,id=c,path=/a,server=on", []),
      ("-vnc :1", []), ("-spice port=1", []), ("-qmp tcp:localhost:1,server=on", []),
      ("-netdev user,id=n", []), ("-serial none", []),
    ] as [(String, [String])])
  func serversOf(_ words: String, _ paths: [String]) throws {
    let line = try QEMUCommandLine(
      parsing: ["qemu"] + words.split(separator: " ").map(String.init))
    #expect(line.serverSockets.map(\.path) == paths)
  }
}

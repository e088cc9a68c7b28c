import Glibc
import LinuxIO
import LinuxProcesses
import SystemPackage
import TestSupport
import Testing

/// Memory that two processes have in common, here one twice.
@Suite struct SharedNoteTests {
  @Test func whatIsWrittenIsRead() throws {
    let note = try SharedNote()
    let other = try SharedNote(opening: note.descriptor)
    #expect(other.read() == [] && other.version == 0)
    for (number, text) in [[1], [], [2, 3], Array(repeating: 9, count: 5000)].enumerated() {
      try note.write(text.map { UInt8($0) })
      #expect(other.read() == text.map { UInt8($0) })
      #expect(other.version == UInt64(number + 1))
    }
  }

  @Test func theLimitIsAllowedAndOnePastItChangesNothing() throws {
    let note = try SharedNote()
    let most = [UInt8](repeating: 7, count: SharedNote.limit)
    try note.write(most)
    #expect(note.read() == most)
    let error = #expect(throws: SystemCallError.self) { try note.write(most + [8]) }
    #expect(error?.errno.rawValue == EMSGSIZE)
    #expect(note.read() == most)
  }

  @Test func wordsGoBothWays() throws {
    let note = try SharedNote()
    let other = try SharedNote(opening: note.descriptor)
    for word in SharedNote.Word.allCases { #expect(other[word] == 0) }
    note[.beat] = .max
    other[.stage] = 3
    #expect(other[.beat] == .max && note[.stage] == 3)
    #expect(note.read() == [])
  }

  /// Texts of one value each, of many lengths: a text that is read while others are written has one value, and its own length.
  @Test func noTextIsReadInPart() throws {
    let note = try SharedNote()
    let other = try SharedNote(opening: note.descriptor)
    let isOver = Monitor(false)
    let thread = try PosixThread<Void, Never>(name: "writer") {
      while !isOver.withLock({ $0 }) {
        for value in UInt8.min...UInt8.max {
          try? note.write([UInt8](repeating: value, count: 1000 + Int(value)))
        }
      }
    }
    for _ in 0..<20_000 {
      let found = other.read()
      guard let value = found.first else { continue }
      #expect(found.count == 1000 + Int(value) && found.allSatisfy { $0 == value })
    }
    isOver.withLock { $0 = true }
    thread.join()
  }

  @Test func somethingElseIsNoNote() throws {
    let small = try File.inMemory(name: "small", byteCount: 100)
    #expect(throws: SystemCallError.self) { try SharedNote(opening: small.bufferedDescriptor) }
    #expect(throws: SystemCallError.self) { try SharedNote(opening: 1_000_000) }
  }
}

import ArgumentParser
import Foundation
import SystemPackage
import Testing

@testable import MappedRAMCommands

/// What a run of `inspect` left.
struct InspectOutcome {
  /// The exit status.
  var status: Int32
  var output = ""
  var complaints: [String] = []

  /// Runs `inspect` in this process, on a terminal of 80 columns.
  init(_ image: FilePath, _ arguments: [String] = []) throws {
    let command = try #require(
      try InspectCommand.parseAsRoot([image.string] + arguments) as? InspectCommand)
    var (output, complaints) = ("", [String]())
    status =
      command.perform(
        width: 80, output: { output += $0 },
        complain: { line, _ in complaints.append(line.error.message) }
      ).rawValue
    self.output = output
    self.complaints = complaints
  }

  /// The output, decoded as JSON.
  func decoded<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(output.utf8))
  }

  /// The output as JSON, whatever is in it.
  func object() throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
  }
}

/// What the tests want of the JSON.
struct InspectedImage: Decodable {
  var schemaVersion: Int
  var container: String
  var streamOffset: UInt64
  var machineType: String?
  var capabilities: [String]?
  var uuid: String?
  var complete: Bool
  var runState: String?
  var hasDescription: Bool
  var ramTotalBytes: UInt64?
  var blocks: [Block]
  var sections: [Section]
  var fileSize: UInt64
  var allocatedBytes: UInt64
  var problems: [Problem]
  var libvirt: Libvirt?

  struct Block: Decodable {
    var idstr: String
    var usedLength: UInt64
    var pageSize: UInt64
    var bitmapOffset: UInt64?
    var pagesOffset: UInt64?
    var pageCount: UInt64
    var pagesPresent: UInt64?
    var pagesStale: UInt64?
    var allocatedBytes: UInt64?
    var isIgnored: Bool
    var address: UInt64?
    var presentRuns: [[UInt64]]?
  }

  struct Problem: Decodable {
    var kind: String
    var path: String
    var offset: UInt64
    var context: String
    var message: String
  }

  struct Section: Decodable, Equatable {
    var type: String
    var id: UInt32?
    var idstr: String?
    var instanceID: UInt32?
    var version: UInt32?
    var offset: UInt64
    var length: UInt64
  }

  struct Libvirt: Decodable {
    var name: String?
    var uuid: String?
    var memoryBytes: UInt64?
    var vcpus: Int?
    var machine: String?
    var hasCookie: Bool
    var wasRunning: Bool
    var isComplete: Bool
    var format: String
  }
}

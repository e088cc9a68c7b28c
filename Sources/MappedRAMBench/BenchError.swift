package import LinuxIO
package import LinuxProcesses
package import MappedRAM
package import QEMUControl
package import SystemPackage

/// Why a measurement failed.
package enum BenchError: Error, Equatable, Sendable {
  /// The engine failed; `output` is where files are made, if it made one.
  case image(ImageError, output: FilePath?)
  /// A VM could not be dealt with; `output` is where files are made, if one was made.
  case vm(VMError, output: FilePath?)
  /// Its own work failed: a thread, memory, a child.
  case system(SystemCallError)
  /// A program that is to be measured is not there.
  case noProgram(Program)
  /// A program that was measured has failed, and what it said.
  case programFailed(Program, ChildEnd, messages: String)
  /// There is not enough memory; whether the guest's could be made in place of being kept.
  case notEnoughMemory(needed: UInt64, available: UInt64, canBeMade: Bool)
  /// What was read back is not what was written.
  case mismatch(PageMismatches)
  /// The guest of live saves has not begun to run.
  case guestDoesNotRun

  /// A program besides this one.
  package enum Program: Equatable, Sendable {
    case fio
    /// A path, or a name in PATH.
    case qemu(String)
  }
}

/// Pages that were read back with other contents than were written.
package struct PageMismatches: Equatable, Sendable {
  /// How many.
  package var count: UInt64
  /// The one with the lowest number.
  package var first: UInt64
  /// How many pages were looked at.
  package var checked: UInt64
  /// How many there are.
  package var expected: UInt64

  /// Mismatches of their parts.
  package init(count: UInt64, first: UInt64, checked: UInt64, expected: UInt64) {
    (self.count, self.first) = (count, first)
    (self.checked, self.expected) = (checked, expected)
  }
}

extension BenchError {
  /// What programs are told of it.
  package var details: ErrorDetails {
    switch self {
    case .image(let error, _): error.details
    case .vm(let error, _): error.details
    case .system(let error): error.details
    case .noProgram, .programFailed, .notEnoughMemory, .guestDoesNotRun: ErrorDetails(.unavailable)
    case .mismatch: ErrorDetails(.io)
    }
  }
}

extension BenchError {
  /// Runs `body` and gives its error as this module's.
  static func image<Value: ~Copyable>(
    to output: FilePath?, _ body: () throws(ImageError) -> Value
  ) throws(BenchError) -> Value {
    do throws(ImageError) {
      return try body()
    } catch {
      throw .image(error, output: output)
    }
  }

  /// Runs `body` and gives its error as this module's.
  static func vm<Value: ~Copyable>(
    to output: FilePath?, _ body: () throws(VMError) -> Value
  ) throws(BenchError) -> Value {
    do throws(VMError) {
      return try body()
    } catch .image(let error) {
      throw .image(error, output: output)
    } catch {
      throw .vm(error, output: output)
    }
  }

  /// Runs `body` and gives its error as this module's.
  static func system<Value: ~Copyable>(
    _ body: () throws(SystemCallError) -> Value
  ) throws(BenchError) -> Value {
    do throws(SystemCallError) {
      return try body()
    } catch {
      throw .system(error)
    }
  }

  /// Makes sure that there is room for `byteCount` bytes more in memory.
  ///
  /// - Throws: `notEnoughMemory`: the kernel would end some process for it.
  static func requireMemory(_ byteCount: UInt64, canBeMade: Bool) throws(BenchError) {
    guard let available = Machine.availableMemory, byteCount > available else { return }
    throw .notEnoughMemory(needed: byteCount, available: available, canBeMade: canBeMade)
  }
}

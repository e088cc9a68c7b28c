import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// fio: writes a file from beginning to end, reads it again, and reads it while another is written; with io_uring.
struct FioContestant: BenchContestant {
  let mix: String
  /// Bytes that are written: as many as the image has of pages that are present.
  let byteCount: UInt64
  let isDirect: Bool
  /// Bytes of a request, and the number of those under way.
  let blockBytes: UInt64
  let depth: Int

  /// The settings that are tried: the best counts. On some virtual disks few requests under way are the best.
  static let variants: [(blockBytes: UInt64, depth: Int)] = [
    (1 << 20, 4), (1 << 20, 32), (256 << 10, 64),
  ]

  /// Lets fio's buffers, from malloc(3), be of huge pages: it then reads up to a fifth faster, as we do (glibc 2.35).
  private static let hugePages = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"

  /// Looks whether there is a fio.
  ///
  /// - Throws: `noProgram`.
  static func require() throws(BenchError) {
    do throws(SystemCallError) {
      let nowhere = try File.inMemory(name: "fio", byteCount: 0)
      var options = ChildProcess.Options()
      options.standardOutput = nowhere.bufferedDescriptor
      options.standardError = nowhere.bufferedDescriptor
      var child = try ChildProcess(starting: "fio", ["--version"], options)
      _ = try child.wait()
    } catch {
      throw missing(error)
    }
  }

  private static func missing(_ error: SystemCallError) -> BenchError {
    guard error.call == .execvp else { return .system(error) }
    return .noProgram(.fio)
  }

  mutating func measure(_ session: BenchSession) throws(BenchError) {
    let path = session.directory.appending("mapped-ram-bench-\(getpid())-fio.bin")
    let second = session.directory.appending("mapped-ram-bench-\(getpid())-fio-copy.bin")
    defer {
      path.removeFile()
      second.removeFile()
    }
    try measure(.save, [("write", path)], session)
    try measure(.restore, [("read", path)], session)
    try measure(.copy, [("read", path), ("write", second)], session)
  }

  /// Runs jobs at the same time, each with a file of its own.
  private func measure(
    _ operation: BenchRow.Operation, _ jobs: [(kind: String, path: FilePath)],
    _ session: BenchSession
  ) throws(BenchError) {
    let result = try run(jobs, session)
    session.add(
      BenchSample(seconds: result.seconds, cpuSeconds: result.cpuSeconds),
      to: BenchRow.Key(
        mix: mix, operation: operation, contestant: .fio,
        settings: .fio(depth: depth, blockBytes: blockBytes, isDirect: isDirect)),
      ramBytes: result.bytes, bytes: result.bytes)
  }

  private func run(
    _ jobs: [(kind: String, path: FilePath)], _ session: BenchSession
  ) throws(BenchError) -> FioResult {
    let (output, errors) = try BenchError.system { () throws(SystemCallError) in
      (try File.inMemory(name: "fio", byteCount: 0), try File.inMemory(name: "fio", byteCount: 0))
    }
    // Whole blocks.
    let size = max(byteCount / blockBytes, 1) * blockBytes
    let end: ChildEnd
    do throws(SystemCallError) {
      var options = ChildProcess.Options()
      options.standardOutput = output.bufferedDescriptor
      options.standardError = errors.bufferedDescriptor
      options.startsSession = true
      var child = try ChildProcess(
        starting: "env", [Self.hugePages, "fio"] + arguments(jobs, size: size), options)
      var found: ChildEnd?
      while found == nil {
        found = try child.wait(for: .milliseconds(50))
        if session.cancellation.isCancelled { break }
      }
      guard let found else {
        throw SystemCallError(call: .waitid, errno: .canceled, subject: .process)
      }
      end = found
    } catch {
      try session.check()
      throw Self.missing(error)
    }
    guard end == .exited(status: 0), let result = FioResult(try text(output)) else {
      let said = try text(errors) + text(output)
      throw .programFailed(.fio, end, messages: String(said.prefix(2000)))
    }
    return result
  }

  /// What is said before the first job holds for all.
  private func arguments(_ jobs: [(kind: String, path: FilePath)], size: UInt64) -> [String] {
    [
      "--size=\(size)", "--bs=\(blockBytes)", "--iodepth=\(depth)", "--ioengine=io_uring",
      "--direct=\(isDirect ? 1 : 0)", "--numjobs=1", "--thread", "--output-format=json",
      // The space is there before the clock runs, and what is read comes from the disk.
      "--fallocate=native", "--invalidate=1",
    ]
      + jobs.flatMap { job in
        ["--name=\(job.kind)", "--filename=\(job.path.absolute)", "--rw=\(job.kind)"]
          + (isDirect || job.kind == "read" ? [] : ["--end_fsync=1"])
      }
  }

  private func text(_ file: File) throws(BenchError) -> String {
    let bytes = try BenchError.system { () throws(SystemCallError) in
      try file.readBytes(at: 0, count: min(Int(try file.size()), 1 << 20))
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// What fio says of its jobs, which ran at the same time and moved as many bytes each.
struct FioResult: Equatable {
  /// Bytes of one job.
  var bytes: UInt64
  /// Until the last was done.
  var seconds: Double
  /// Of all together.
  var cpuSeconds: Double

  /// Reads fio's JSON; `nil` where it is not understood, or a job has failed or done nothing. fio may write lines of text before.
  init?(_ text: String) {
    guard let start = text.firstIndex(of: "{"),
      let output = try? JSONValue(parsing: [UInt8](text[start...].utf8)),
      case .array(let values) = output["jobs"]
    else { return nil }
    let jobs = values.compactMap(Job.init)
    guard jobs.count == values.count, let longest = jobs.map(\.milliseconds).max(),
      let least = jobs.map(\.bytes).min()
    else { return nil }
    bytes = least
    seconds = longest / 1000
    cpuSeconds = jobs.reduce(0) { $0 + $1.cpuSeconds }
  }

  /// What is said of a job that has done something.
  private struct Job {
    var bytes: UInt64
    var milliseconds: Double
    var cpuSeconds: Double

    init?(_ job: JSONValue) {
      guard job["error"]?.unsignedInteger == 0, let user = job["usr_cpu"]?.double,
        let system = job["sys_cpu"]?.double, let runtime = job["job_runtime"]?.double,
        // The side that it has done something on.
        let side = ["write", "read"].compactMap({ job[$0] }).first(where: {
          $0["io_bytes"]?.unsignedInteger ?? 0 > 0
        }),
        let bytes = side["io_bytes"]?.unsignedInteger, let milliseconds = side["runtime"]?.double,
        milliseconds > 0
      else { return nil }
      self.bytes = bytes
      self.milliseconds = milliseconds
      // In percent of the job's time, which is in milliseconds.
      cpuSeconds = (user + system) / 100 * runtime / 1000
    }
  }
}

extension JSONValue {
  /// The number, if this is one.
  fileprivate var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .unsigned(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
}

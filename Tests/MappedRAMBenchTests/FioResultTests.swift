import Testing

@testable import MappedRAMBench

@Suite struct FioResultTests {
  private func side(_ bytes: Int, _ runtime: Int) -> String {
    #"{"io_bytes":\#(bytes),"runtime":\#(runtime)}"#
  }

  private func job(_ read: String, _ write: String, error: Int = 0) -> String {
    """
    {"error":\(error),"job_runtime":2100,"usr_cpu":10.0,"sys_cpu":15.0,"read":\(read),"write":\(write)}
    """
  }

  private func output(_ jobs: String...) -> String {
    "note: something\n{\"jobs\":[\(jobs.joined(separator: ","))]}\n"
  }

  @Test func timeBytesAndProcessorTimeAreReadFromItsJSON() throws {
    let jobs = [job(side(0, 0), side(4 << 20, 2000)), job(side(4 << 20, 2000), side(0, 0))]
    for job in jobs {
      let result = try #require(FioResult(output(job)))
      #expect(result.bytes == 4 << 20 && result.seconds == 2)
      #expect(abs(result.cpuSeconds - 0.525) < 1e-9)
    }
  }

  @Test func ofTwoJobsTheLastEndCounts() throws {
    let result = try #require(
      FioResult(output(job(side(8192, 1500), side(0, 0)), job(side(0, 0), side(8192, 2500)))))
    #expect(result.bytes == 8192 && result.seconds == 2.5)
    #expect(abs(result.cpuSeconds - 1.05) < 1e-9)
  }

  @Test func nothingIsReadFromWhatFailedOrMovedNothing() {
    let good = job(side(0, 0), side(4096, 1))
    #expect(FioResult(output(good)) != nil)
    #expect(FioResult(output(good, job(side(0, 0), side(4096, 1), error: 5))) == nil)
    #expect(FioResult(output(good, job(side(0, 0), side(4096, 0)))) == nil)
    #expect(FioResult(output(good, job(side(0, 0), side(0, 0)))) == nil)
    #expect(FioResult(output()) == nil)
    #expect(FioResult("") == nil)
    #expect(FioResult("{") == nil)
  }
}

import LinuxIO
import MappedRAM

/// Runs `body` on `threads` threads at once and waits for all. One of their errors is thrown.
func inParallel(
  _ threads: Int, _ body: @escaping @Sendable () throws(ImageError) -> Void
) throws(ImageError) {
  var failure: ImageError?
  var running: [ParallelThread] = []
  do throws(SystemCallError) {
    for _ in 1..<max(threads, 1) { running.append(try ParallelThread(body)) }
  } catch {
    failure = .system(error)
  }
  do throws(ImageError) {
    try body()
  } catch {
    failure = failure ?? error
  }
  for thread in running {
    do throws(ImageError) {
      try thread.join()
    } catch {
      failure = failure ?? error
    }
  }
  if let failure { throw failure }
}

/// A thread of `inParallel`. (An array cannot hold what cannot be copied.)
private final class ParallelThread {
  private var thread: PosixThread<Void, ImageError>?

  init(
    _ body: @escaping @Sendable () throws(ImageError) -> Void
  ) throws(SystemCallError) {
    thread = try PosixThread(name: "helper", body)
  }

  func join() throws(ImageError) {
    if let thread = thread.take() { try thread.join() }
  }
}

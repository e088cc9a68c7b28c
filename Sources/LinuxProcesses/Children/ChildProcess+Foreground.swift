import CLinux
import Glibc
package import LinuxIO
import SystemPackage

extension ChildProcess {
  /// Waits until the process has ended, and meanwhile passes on the signals that this one gets, so that a user or a
  /// program that sends them deals with the child.
  ///
  /// For SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP and SIGCONT, but for those that this process ignores. What the
  /// terminal sends goes to the child as well, since both are in the terminal's foreground group, and is not passed on a second time.
  /// SIGTSTP stops this process too.
  ///
  /// The signals are blocked in the calling thread from then on; all other threads must block them, as those of PosixThread do.
  ///
  /// - Throws: what signalfd(2), poll(2) and waitid(2) give. The child still runs then.
  package mutating func waitPassingSignals() throws(SystemCallError) -> ChildEnd {
    let numbers = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT]
      .filter { !SignalSet.isIgnored($0) }
    SignalSet(numbers).block()
    // SAFETY: the numbers live for the call, which does not keep them.
    let signals = unsafe numbers.withUnsafeBufferPointer { numbers in
      unsafe CLinux_signalDescriptor(numbers.baseAddress, Int32(numbers.count))
    }
    try check(signals, .signalfd, .process)
    let source = OwnedDescriptor(owning: signals)
    while true {
      if let end = try endIfOver() { return end }
      var waiting = [
        pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: source.rawValue, events: Int16(POLLIN), revents: 0),
      ]
      // SAFETY: the array lives for the call. EINTR is nothing: the loop looks again.
      _ = unsafe poll(&waiting, nfds_t(waiting.count), -1)
      var isFromKernel: Int32 = 0
      // SAFETY: the number is written before the call returns, and is not kept.
      let number = unsafe CLinux_readSignal(source.rawValue, &isFromKernel)
      if number > 0 { try pass(number, isFromTerminal: isFromKernel != 0) }
    }
  }

  private func pass(_ number: CInt, isFromTerminal: Bool) throws(SystemCallError) {
    if !isFromTerminal || !hasFromTerminal(number) { try send(number) }
    guard number == SIGTSTP else { return }
    // By the default action, which the kernel leaves out where no process could continue us.
    SignalSet([SIGTSTP]).unblock()
    raise(SIGTSTP)
    SignalSet([SIGTSTP]).block()
  }

  /// Whether the terminal sent the signal to the child as well. The end of a terminal is told to the leader of its session alone.
  private func hasFromTerminal(_ number: CInt) -> Bool {
    sharesTerminal && !(number == SIGHUP && getsid(0) == getpid())
  }
}

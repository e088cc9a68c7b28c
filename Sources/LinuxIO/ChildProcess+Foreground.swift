import CLinux
import Glibc
import SystemPackage

extension ChildProcess {
  /// Waits until the process has ended, and meanwhile passes on the signals that this one gets, so that a user or a
  /// program that sends them deals with the child.
  ///
  /// For SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP and SIGCONT, but for those that this process ignores. What the terminal sends
  /// goes to the child as well, since both are in the terminal's foreground group, and is not passed on a second time. SIGTSTP stops this process too.
  ///
  /// The signals are blocked in the calling thread from then on; all other threads must block them, as those of PosixThread do.
  ///
  /// - Throws: what signalfd(2), poll(2) and waitid(2) give. The child still runs then.
  public mutating func waitPassingSignals() throws(SystemCallError) -> ChildEnd {
    let numbers = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT]
      .filter { !Signals.isIgnored($0) }
    Signals.change(SIG_BLOCK, numbers)
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
    // By the default action, which the kernel leaves out where nobody could continue us.
    Signals.change(SIG_UNBLOCK, [SIGTSTP])
    raise(SIGTSTP)
    Signals.change(SIG_BLOCK, [SIGTSTP])
  }

  /// Whether the terminal sent the signal to the child as well. The end of a terminal is told to the leader of its session alone.
  private func hasFromTerminal(_ number: CInt) -> Bool {
    sharesTerminal && !(number == SIGHUP && getsid(0) == getpid())
  }
}

private enum Signals {
  static func change(_ how: CInt, _ numbers: [CInt]) {
    var set = sigset_t()
    // SAFETY: the set is this function's own; the numbers are signals.
    unsafe sigemptyset(&set)
    for number in numbers { unsafe sigaddset(&set, number) }
    unsafe pthread_sigmask(how, &set, nil)
  }

  static func isIgnored(_ number: CInt) -> Bool {
    var action = sigaction()
    // SAFETY: only asks; what is there is filled in.
    guard unsafe sigaction(number, nil, &action) == 0 else { return false }
    // SAFETY: SIG_IGN is the address 1, which is compared and not called.
    return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
}

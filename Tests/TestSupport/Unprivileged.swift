import Glibc

/// Programs run with less than this process may do.
package enum Unprivileged {
  /// The user that owns nothing.
  package static let nobody: UInt32 = 65534

  /// Whether this process can run programs as another user: it is root, and setpriv(1) is there.
  package static let isAvailable: Bool =
    geteuid() == 0 && (try? Subprocess.run(["setpriv", "--version"]).status) == 0

  /// What stands before a command that is to run as `user`, by number, in the group of the same number and in no
  /// other: it has no capability, cannot get one, and may not trace programs of other users.
  package static func prefix(user: UInt32 = nobody) -> [String] {
    [
      "setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--inh-caps=-all",
      "--bounding-set=-all", "--no-new-privs", "--",
    ]
  }

  /// What stands before a command that is to run as this user, root, but may not read the memory of programs that have
  /// more capabilities or another user: it lacks CAP_SYS_PTRACE.
  package static let prefixWithoutTracing = [
    "setpriv", "--inh-caps=-sys_ptrace", "--bounding-set=-sys_ptrace", "--",
  ]
}

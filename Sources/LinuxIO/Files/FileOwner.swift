import Glibc

/// A user and a group, as a process makes files.
package struct FileOwner: Equatable, Sendable {
  /// Its number.
  package var userID: UInt32
  /// Its group's.
  package var groupID: UInt32

  /// A user of its parts.
  package init(userID: UInt32, groupID: UInt32) {
    self.userID = userID
    self.groupID = groupID
  }

  /// Who this process is.
  package static var this: FileOwner { FileOwner(userID: geteuid(), groupID: getegid()) }

  /// Whether this process may make files that are this user's.
  package var isReachable: Bool { userID == geteuid() || geteuid() == 0 }
}

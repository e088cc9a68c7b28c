import Glibc

/// A user and a group, as a process makes files.
public struct FileOwner: Equatable, Sendable {
  /// Its number.
  public var userID: UInt32
  /// Its group's.
  public var groupID: UInt32

  /// A user of its parts.
  public init(userID: UInt32, groupID: UInt32) {
    self.userID = userID
    self.groupID = groupID
  }

  /// Whether this process may make files that are this user's.
  public var isReachable: Bool { userID == geteuid() || geteuid() == 0 }
}

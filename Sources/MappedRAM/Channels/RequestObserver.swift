/// Is told how long each request of a channel took.
package protocol RequestObserver: AnyObject, Sendable {
  /// What is told the requests of one channel. Called on the channel's thread, once.
  func channel() -> any ChannelObserver
}

/// Is told the requests of one channel, by its thread alone.
package protocol ChannelObserver: AnyObject {
  /// A request is over.
  ///
  /// - Parameter nanoseconds: from its making to its completion's being seen.
  func finished(isRead: Bool, nanoseconds: UInt64)
}

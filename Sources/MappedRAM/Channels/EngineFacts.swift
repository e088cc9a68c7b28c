package import LinuxIO
import URing

/// What the kernel offers the engine.
package enum EngineFacts {
  /// What its io_uring can do, by name; or why there is none.
  package static func ringFeatures() -> Result<[String], SystemCallError> {
    do throws(SystemCallError) {
      return .success(try Ring.features())
    } catch {
      return .failure(error)
    }
  }
}

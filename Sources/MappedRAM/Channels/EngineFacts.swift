public import LinuxIO
import URing

/// What the kernel offers the engine.
public enum EngineFacts {
  /// What its io_uring can do, by name; or why there is none.
  public static func ringFeatures() -> Result<[String], SystemCallError> {
    do throws(SystemCallError) {
      return .success(try Ring.features())
    } catch {
      return .failure(error)
    }
  }
}

/// What the micro-benchmarks measure: parts of this project that no user of the library can reach.
public struct MeasuredWork: Sendable {
  /// What it does, and how much of it in one round.
  public let name: String
  /// Makes what the work needs, which is not measured; the work that it gives is one round.
  public let prepare: @Sendable () throws -> () throws -> Void

  init(_ name: String, prepare: @escaping @Sendable () throws -> () throws -> Void) {
    self.name = name
    self.prepare = prepare
  }

  /// All of it.
  public static var all: [MeasuredWork] { zeroScan + bitmaps + parsing + rings }
}

/// Keeps the compiler from leaving out what makes `value`.
@inline(never) @_optimize(none)
func keep<Value>(_ value: Value) {}

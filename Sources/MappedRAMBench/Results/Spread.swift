/// Median, least and greatest of some numbers.
package struct Spread: Equatable, Sendable {
  package var median: Double
  package var least: Double
  package var greatest: Double

  /// Of `values`, at least one. The median of an even number of them lies between the two in the middle.
  package init(_ values: [Double]) {
    precondition(!values.isEmpty, "a value")
    let sorted = values.sorted()
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    least = sorted[0]
    greatest = sorted[sorted.count - 1]
  }
}

package import LinuxIO
package import MappedRAMFormat

extension Image {
  /// What the VM was doing when it was saved; `nil` where the image does not say.
  ///
  /// - Parameter file: the file that the image was read from.
  /// - Throws: `ImageError`: the section cannot be read, or is not what it should be.
  package func runState(in file: File) throws(ImageError) -> RunState? {
    try globalState(in: file)?.runState
  }

  /// The same, with what else the section says.
  package func globalState(in file: File) throws(ImageError) -> GlobalState? {
    guard let body = globalState else { return nil }
    let count = min(Int(body.byteCount.rawValue), GlobalState.tellingByteCount)
    let bytes = try ImageFile(file).read(count, at: body.lowerBound)
    do throws(FormatError) {
      var input = ByteInput(bytes.span, at: body.lowerBound)
      return try GlobalState(parsing: &input)
    } catch {
      throw .format(error, in: path)
    }
  }

  /// Lets the image say that the VM was doing something else.
  ///
  /// 36 bytes are written, through the page cache and without a sync: for a file that nobody reads yet.
  ///
  /// - Parameter file: the file that the image was read from, open for writing.
  /// - Returns: whether there is a section that says it.
  /// - Throws: as `runState(in:)`; what pwrite gives.
  package func setRunState(_ runState: RunState, in file: File) throws(ImageError) -> Bool {
    guard let body = globalState, try self.runState(in: file) != nil else { return false }
    var output = ByteOutput(at: body.lowerBound)
    GlobalState(runState).encode(into: &output)
    try ImageFile(file).write(output)
    return true
  }

  /// The body of the section that says what the VM was doing.
  private var globalState: Range<FileOffset>? {
    sections.first { $0.isGlobalState }?.body
  }
}

extension ImageSection {
  /// Whether this is the section that says what the VM was doing.
  var isGlobalState: Bool { type == .full && identity?.idstr == GlobalState.idstr }
}

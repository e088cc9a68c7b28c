package import MappedRAM

extension MemoryPages {
  /// All bytes.
  package var allBytes: [UInt8] { unsafe withUnsafeMutableBytes { unsafe Array($0) } }

  /// Puts `bytes` at `offset`.
  package func put(_ bytes: [UInt8], at offset: Int) {
    unsafe withUnsafeMutableBytes { memory in
      for (index, byte) in bytes.enumerated() { unsafe memory[offset + index] = byte }
    }
  }
}

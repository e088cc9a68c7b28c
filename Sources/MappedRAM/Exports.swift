// One import is enough for whoever uses this module: what its declarations are made of comes with it.
@_exported public import MappedRAMFormat
@_exported public import struct SystemPackage.FilePath

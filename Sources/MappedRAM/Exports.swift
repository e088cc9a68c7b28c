// One import is enough for whoever uses this module: what its declarations are made of comes with it.
@_exported public import enum LinuxIO.DirectIO
@_exported public import enum LinuxIO.DirectIOPolicy
@_exported public import enum LinuxIO.DirectIORefusal
@_exported public import struct LinuxIO.ErrorDetails
@_exported public import enum LinuxIO.ErrorKind
@_exported public import enum LinuxIO.IOPriority
@_exported public import struct LinuxIO.SystemCallError
@_exported public import MappedRAMFormat
@_exported public import struct SystemPackage.FilePath

// One import is enough for whoever uses this module: what its declarations are made of comes with it.
@_exported public import MappedRAM
@_exported public import QMP

"""Images that the QEMU of today cannot write, made from ones that it can."""

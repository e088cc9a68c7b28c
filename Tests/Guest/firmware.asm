; The smallest firmware: 64 KiB of ROM whose only work is to start the boot sector in boot.bin, in microseconds and
; without a disk. Assemble boot.asm first, then: nasm -f bin -o firmware.bin firmware.asm
; The processor starts at f000:fff0 with the ROM at the end of the first 4 GiB, and below 1 MiB as well.
  org 0
  bits 16
sector:
  incbin "boot.bin"         ; at offset 0, so the parameters are at the same places
main:
  cld
  mov ax, 0xf000
  mov ds, ax
  xor ax, ax
  mov es, ax
  xor si, si
  mov di, 0x7c00
  mov cx, 256
  rep movsw
  jmp 0:0x7c00
  times 0xfff0 - ($ - $$) db 0
  jmp 0xf000:main
  times 0x10000 - ($ - $$) db 0

// The boot sector's guest for QEMU's Arm machine `virt`, at 0x40100000, past the device tree. It does and prints the
// same as boot.asm, without churn; the pattern begins at `start`. The parameters at offset 16 are patched by the harness.
//
//   clang --target=aarch64-none-elf -c arm.s -o arm.o
//   llvm-objcopy -O binary arm.o arm.bin
//   llvm-objdump -d arm.o >arm.lst
  .text
  .global _start
_start:
  b begin
  .balign 16
parameters:
end:   .word 0x40600000
mask:  .word 7
seed:  .word 0
start: .word 0x40200000
count: .word 0
  .balign 16
begin:
  adr x20, parameters
  ldp w21, w22, [x20]         // end, mask
  ldp w23, w24, [x20, #8]     // seed, start
  mov w1, w24
fill:
  lsr w2, w1, #12
  eor w3, w1, w23
  tst w2, w22
  b.eq filled                 // a page that stays zero
  str w3, [x1]
filled:
  add w1, w1, #4
  cmp w1, w21
  b.lo fill
  mov x10, #0x09000000        // PL011

turn:
  mov w1, w24
  mov w5, #0
sum:
  ldr w3, [x1], #4
  ror w5, w5, #31
  add w5, w5, w3
  cmp w1, w21
  b.lo sum
  ldr w0, [x20, #16]
  add w0, w0, #1
  str w0, [x20, #16]
  bl print_word
  mov w2, #' '
  bl print_byte
  mov w0, w5
  bl print_word
  mov w2, #10
  bl print_byte
  b turn

print_word:                   // w0, eight hex digits
  mov x9, x30
  mov w4, #8
next_digit:
  ror w0, w0, #28
  and w2, w0, #15
  add w3, w2, #'0'
  add w2, w2, #('a' - 10)
  cmp w3, #'9'
  csel w2, w3, w2, ls
  bl print_byte
  subs w4, w4, #1
  b.ne next_digit
  ret x9

print_byte:                   // w2
  ldr w6, [x10, #0x18]
  tbnz w6, #5, print_byte     // the queue is full
  str w2, [x10]
  ret

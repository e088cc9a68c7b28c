; A guest in one boot sector. Assemble: nasm -f bin -l boot.lst -o boot.bin boot.asm
;
; It fills RAM from 1 MiB up to `end` with a pattern, then for ever: sums the pattern, counts, prints
; "CCCCCCCC SSSSSSSS" and a newline (count and sum, hex) on COM1, and rewrites the churn area. So the lines of one
; guest, also when it was saved and restored between two of them, count up by one and all have the same sum.
;
;   pattern   each 32-bit word from 1 MiB to end is its own address ^ seed; pages whose number & mask is 0 stay zero
;   sum       sum of these words, rotated left by one bit before each addition, mod 2^32
;   churn     each page of [churn, churn_end), outside the pattern: while count + page number is odd all zero,
;             else each word is the count ^ 0xA5A5A5A5. So half of these pages turn zero in each round.
;
; The five parameters stand at fixed places in the sector and are patched by the harness.
  org 0x7c00
  bits 16
start:
  cli
  xor ax, ax
  mov ds, ax
  in al, 0x92               ; A20 on
  or al, 2
  and al, 0xfe
  out 0x92, al
  lgdt [gdt_pointer]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  jmp 8:protected

  bits 32
protected:
  mov ax, 16
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov esp, 0x7c00
  cld
  mov edi, 0x100000
fill_page:
  cmp edi, [end]
  jae turn
  mov ecx, 1024
  mov eax, edi
  shr eax, 12
  test eax, [mask]
  jnz fill_word
  lea edi, [edi + 4096]
  jmp fill_page
fill_word:
  mov eax, edi
  xor eax, [seed]
  stosd
  loop fill_word
  jmp fill_page

turn:
  mov esi, 0x100000
  xor edx, edx
sum_word:
  cmp esi, [end]
  jae summed
  lodsd
  rol edx, 1
  add edx, eax
  jmp sum_word
summed:
  inc dword [count]
  mov ebp, edx
  mov ebx, [count]
  call print_word
  mov al, ' '
  call print_byte
  mov ebx, ebp
  call print_word
  mov al, 10
  call print_byte

  mov edi, [churn]
churn_page:
  cmp edi, [churn_end]
  jae turn
  mov ecx, 1024
  mov edx, edi
  shr edx, 12
  mov eax, [count]
  add edx, eax
  xor eax, 0xa5a5a5a5
  and edx, 1
  jz churn_write
  xor eax, eax
churn_write:
  rep stosd
  jmp churn_page

print_word:                 ; ebx, eight hex digits
  mov ecx, 8
next_digit:
  rol ebx, 4
  mov al, bl
  and al, 15
  add al, '0'
  cmp al, '9'
  jbe digit
  add al, 'a' - '0' - 10
digit:
  call print_byte
  loop next_digit
  ret

print_byte:                 ; al
  mov ah, al
  mov dx, 0x3fd
not_ready:
  in al, dx
  test al, 0x20
  jz not_ready
  mov al, ah
  mov dx, 0x3f8
  out dx, al
  ret

  align 8
gdt:
  dq 0
  dq 0x00cf9a000000ffff     ; 8: code, 0 to 4 GiB
  dq 0x00cf92000000ffff     ; 16: data, 0 to 4 GiB
gdt_pointer:
  dw gdt_pointer - gdt - 1
  dd gdt

  times 0x1c0 - ($ - $$) db 0
end:       dd 0x400000      ; 0x1c0: first address past the pattern
mask:      dd 0xffffffff    ; 0x1c4: pages with (number & mask) == 0 stay zero
seed:      dd 0             ; 0x1c8
churn:     dd 0             ; 0x1cc
churn_end: dd 0             ; 0x1d0
count:     dd 0             ; 0x1d4: lines printed (physical 0x7dd4)
  times 510 - ($ - $$) db 0
  dw 0xaa55

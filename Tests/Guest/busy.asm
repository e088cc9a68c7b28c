; A guest that changes memory all the time, and looks all the time whether it is as it should be. A firmware of 64 KiB,
; like firmware.asm:  nasm -f bin -l busy.lst -o busy.bin busy.asm
;
; It fills RAM from 1 MiB up to `area` with a pattern, and the area from there to `area_end` as below. Then for ever: sums all of
; that, counts, and prints "CCCCCCCC SSSSSSSS" and a newline (count and sum, hex) on COM1. After each page that it sums, it writes
; pages of the area, one after the other and round and round: all that are due by now, but no more than `burst`. The lines of one guest
; count up by one and all have the same sum, also when it was saved and restored between two of them: a page of the area that is
; older or newer than the others spoils the sum.
;
;   pattern   each 32-bit word is its own address ^ seed; pages whose number & mask is 0 stay zero
;   area      the first `words` words of a page are address ^ seed ^ generation, those behind address ^ seed. The generation counts
;             up at the start of each way through the area. While (page number + generation) & zeros is 0, the first words are 0.
;   sum       sum of address ^ seed for the area, of what is there for the pattern: each added after a rotation to the left
;             by one bit, mod 2^32
;
; The parameters stand at fixed places and are patched by the harness.
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
  cmp edi, [area]
  jae fill_area
  mov ecx, 1024
  mov eax, edi
  shr eax, 12
  test eax, [mask]
  jnz fill_word
  add edi, 4096
  jmp fill_page
fill_word:
  mov eax, edi
  xor eax, [seed]
  stosd
  loop fill_word
  jmp fill_page

fill_area:
  mov [cursor], edi
fill_area_page:
  cmp edi, [area_end]
  jae filled
  mov ecx, 1024
fill_area_word:
  mov eax, edi
  xor eax, [seed]
  stosd
  loop fill_area_word
  call write_page
  mov edi, [cursor]
  jmp fill_area_page
filled:
  rdtsc
  mov [last], eax

turn:
  mov esi, 0x100000
  xor edx, edx
sum_page:
  cmp esi, [area_end]
  jae summed
  lea ebp, [esi + 4096]
  cmp esi, [area]
  jb sum_rest
  mov ebx, [generation]
  cmp esi, [cursor]
  jb sum_area
  dec ebx                   ; not yet written in this way through the area
sum_area:
  mov ecx, [words]
  mov eax, esi
  shr eax, 12
  add eax, ebx
  test eax, [zeros]
  jnz sum_changed
sum_zero:
  mov eax, [esi]
  xor eax, esi
  xor eax, [seed]
  rol edx, 1
  add edx, eax
  add esi, 4
  loop sum_zero
  jmp sum_rest
sum_changed:
  mov eax, [esi]
  xor eax, ebx
  rol edx, 1
  add edx, eax
  add esi, 4
  loop sum_changed
sum_rest:
  cmp esi, ebp
  jae sum_next
  lodsd
  rol edx, 1
  add edx, eax
  jmp sum_rest
sum_next:
  call write_due
  jmp sum_page
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
  jmp turn

; Writes the pages that are due. Keeps esi and edx.
write_due:
  push edx
  mov eax, [area]
  cmp eax, [area_end]
  jae written
  mov ebp, [burst]
write_next:
  mov ecx, [ticks]
  test ecx, ecx
  jz write
  rdtsc
  sub eax, [last]
  cmp eax, ecx
  jb written
  cmp eax, 0x8000000
  jb in_time
  add [last], eax           ; what was missed for as long as this is let go
  jmp written
in_time:
  add [last], ecx
write:
  call write_page
  dec ebp
  jnz write_next
written:
  pop edx
  ret

; Writes the next page of the area. Keeps esi and ebp.
write_page:
  mov edi, [cursor]
  cmp edi, [area_end]
  jb write_here
  mov edi, [area]
  inc dword [generation]
write_here:
  push edi
  mov ebx, [generation]
  mov ecx, [words]
  mov eax, edi
  shr eax, 12
  add eax, ebx
  test eax, [zeros]
  jnz write_changed
  xor eax, eax
  rep stosd
  jmp write_done
write_changed:
  mov edx, [seed]
  xor edx, ebx
write_word:
  mov eax, edi
  xor eax, edx
  stosd
  loop write_word
write_done:
  pop edi
  add edi, 4096
  mov [cursor], edi
  ret

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
  push edx
  mov ah, al
  mov dx, 0x3fd
not_ready:
  in al, dx
  test al, 0x20
  jz not_ready
  mov al, ah
  mov dx, 0x3f8
  out dx, al
  pop edx
  ret

  align 8
gdt:
  dq 0
  dq 0x00cf9a000000ffff     ; 8: code, 0 to 4 GiB
  dq 0x00cf92000000ffff     ; 16: data, 0 to 4 GiB
gdt_pointer:
  dw gdt_pointer - gdt - 1
  dd gdt

  times 0x3c0 - ($ - $$) db 0
area:      dd 0x400000      ; 0x3c0: first address past the pattern; a multiple of 4096, as all addresses
area_end:  dd 0x400000      ; 0x3c4
mask:      dd 0xffffffff    ; 0x3c8: pages of the pattern with (number & mask) == 0 stay zero
seed:      dd 0             ; 0x3cc
words:     dd 1024          ; 0x3d0: of a page that are written, 1 to 1024
zeros:     dd 7             ; 0x3d4: where (page number + generation) & zeros is 0 they are 0
ticks:     dd 0             ; 0x3d8: of the time-stamp counter from one write of a page to the next; 0: as fast as it can
burst:     dd 64            ; 0x3dc: pages that are written at once at most, from 1 on
count:     dd 0             ; 0x3e0: lines printed (physical 0x7fe0)
generation: dd 0            ; 0x3e4: ways through the area (physical 0x7fe4)
cursor:    dd 0             ; 0x3e8: the next page to write (physical 0x7fe8)
last:      dd 0             ; 0x3ec: ticks at which the last page was due
  times 0x400 - ($ - $$) db 0
copied equ 0x400

  bits 16
main:
  cld
  mov ax, 0xf000
  mov ds, ax
  xor ax, ax
  mov es, ax
  xor si, si
  mov di, 0x7c00
  mov cx, copied / 2
  rep movsw
  jmp 0:0x7c00
  times 0xfff0 - ($ - $$) db 0
  jmp 0xf000:(main - start)
  times 0x10000 - ($ - $$) db 0

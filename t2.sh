qemu-system-aarch64 -accel tcg -nodefaults -display none -machine virt -m 16M -cpu cortex-a57 -device loader,file=/tmp/gx/arm.bin,addr=0x40100000,cpu-num=0 -serial stdio

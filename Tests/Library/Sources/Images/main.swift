import MappedRAM

let image = try Image(at: "vm.img")
for block in image.blocks { print(block.idstr, block.usedLength, block.pagesPresent ?? 0) }

// A raw file for each block, the device state, and a manifest. SavePlan.ofDirectory is the inverse.
let outcome = try DirectoryRestore(ImageRestore(at: "vm.img"), to: "vm").run()
print(outcome.files)

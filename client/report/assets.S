// The files of assets.h, byte for byte; CMake says where they are.
.macro asset name, file
  .global petit_report_\name\()_begin
  .global petit_report_\name\()_end
petit_report_\name\()_begin:
  .incbin "\file"
petit_report_\name\()_end:
.endm

  .section .rodata
  asset style, "style.css"
  asset page, "page.js"
  asset licenses, "vega_licenses.txt"
  asset bundle, "vega-bundle.js"
  asset versions, "versions.txt"

  .section .note.GNU-stack, "", @progbits

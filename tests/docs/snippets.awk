# Makes one C++ file of the ```cpp blocks of a page, for the compiler to check.
#   awk -v page=docs/objectives.md -v prelude=objectives.hpp -f snippets.awk PAGE
# A block is the body of a function of its own. It sees the declarations of the page's prelude, the file
# tests/docs/<page>.hpp, if there is one. Comments on lines right above a block say otherwise:
#   <!-- declarations -->       it stands outside of functions (so does a block with a main)
#   <!-- needs <header> -->     it is compiled where this header exists
#   <!-- part of FILE -->       it is a piece of a program that is compiled as it is: see parts.awk
function finish() {
  if (part) return
  where = page ":" first
  if (needs) {
    includes = "#if __has_include(" needs ")\n" includes "#endif\n"
    blocks = blocks "#if __has_include(" needs ")\n"
  }
  hoisted = hoisted includes
  count++
  outside = declarations || body ~ /(^|\n)int main\(/
  blocks = blocks (outside ? "namespace block_" count " {\n" : "void block_" count "() {\n")
  blocks = blocks "#line " first " \"" page "\"\n" body "}\n"
  if (needs) {
    blocks = blocks "#else\n#pragma message(\"" where " is not compiled: there is no " needs "\")\n#endif\n"
  }
}
!inside && /^ *<!-- declarations -->$/ { declarations = 1; next }
!inside && /^ *<!-- part of .* -->$/ { part = 1; next }
!inside && /^ *<!-- needs <.*> -->$/ { needs = $3; next }
!inside && /^ *```cpp$/ { inside = 1; first = FNR + 1; body = ""; includes = ""; next }
inside && /^ *```$/ { finish(); inside = 0 }
inside && /^ *#include/ { includes = includes $0 "\n"; body = body "\n"; next }
inside { body = body $0 "\n"; next }
{ declarations = part = 0; needs = "" }
END {
  print hoisted
  if (prelude) print "#include \"" prelude "\""
  printf "%s", blocks
}

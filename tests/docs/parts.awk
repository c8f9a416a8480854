# What a page shows of a program, together: its blocks below <!-- part of FILE -->, without empty lines.
#   awk -v file=examples/quickstart.cpp -f parts.awk PAGE
!inside && $0 == "<!-- part of " file " -->" { part = 1; next }
!inside && /^```cpp$/ && part { inside = 1; next }
inside && /^```$/ { inside = 0 }
inside { if ($0 != "") print; next }
{ part = 0 }

# The public names that headers declare: types, concepts, functions, values, members and macros, but for
# what is private or in a namespace detail. One line each: header, a tab, the name.
#   awk -v root=include/ -f names.awk include/zo/rge.hpp …
# It reads our own headers, as clang-format leaves them, and is no parser of C++.
function out(name) {
  if (name == "" || name ~ /_$/ || name in keyword || name == class[depth] || seen[header, name]++) return
  print header "\t" name
}
# The text behind a balanced pair that `open` begins, at the start of s.
function behind(s, open, close_, i, level, c) {
  for (i = 1; i <= length(s); ++i) {
    c = substr(s, i, 1)
    if (c == open) ++level
    if (c == close_ && substr(s, i - 1, 1) != "-" && --level == 0) return substr(s, i + 1)
  }
  return ""
}
# The name that a declaration declares.
function declared(s, at, name) {
  gsub(/^[ \t]+|[ \t]+$/, "", s)
  while (s ~ /^template *</) {
    s = behind(substr(s, index(s, "<")), "<", ">")
    sub(/^ */, "", s)
  }
  if (s ~ /^(friend|static_assert|namespace|extern|public|private)/ || s ~ /operator/) return ""
  if (s ~ /^using /) return s ~ /^using [a-zA-Z_0-9]+ *=/ ? word(substr(s, 7)) : ""
  if (s ~ /^concept /) return word(substr(s, 9))
  if (s ~ /^enum /) { sub(/^enum (class )?/, "", s); return word(s) }
  if (s ~ /^(class|struct|union) /) { sub(/^[a-z]+ /, "", s); return s ~ /</ ? "" : word(s) }
  while (s ~ /^requires *\(/) s = behind(substr(s, index(s, "(")), "(", ")")
  while (match(s, /[a-zA-Z_0-9]\(/)) {
    name = substr(s, 1, RSTART)
    match(name, /[a-zA-Z_0-9]+$/)
    at = RSTART
    name = substr(name, at)
    if (name !~ /^(requires|decltype|sizeof|noexcept|defined|void|double)$/ && name !~ /^[0-9]/ &&
        substr(s, 1, at - 1) !~ /(^|[^=!<>])=[^=]/) {
      return substr(s, at - 2, 2) == "::" || substr(s, at - 1, 1) == "~" ? "" : name
    }
    if (substr(s, 1, at - 1) ~ /(^|[^=!<>])=[^=]/) break
    s = behind(substr(s, at + length(name)), "(", ")")
  }
  gsub(/\[[^]]*\]/, "", s)
  count = split(s, listed, /, */)
  if (s !~ /</ && count > 1) {  # as in: index kernel = 1, stride = 1
    for (at = 2; at <= count; ++at) out(word(listed[at]))
    s = listed[1]
  }
  sub(/ *=.*/, "", s)
  if (!match(s, /[ &*][a-zA-Z_0-9]+$/)) return ""
  return substr(s, RSTART + 1)
}
function word(s) {
  sub(/^ */, "", s)
  match(s, /^[a-zA-Z_0-9]+/)
  return substr(s, 1, RLENGTH)
}
function is_public() { return kind[depth] == "zo" || (kind[depth] == "class" && open_[depth]) }
function enumerators(s, list, n, k) {
  n = split(s, list, ",")
  for (k = 1; k <= n; ++k) out(word(list[k]))
}
function enter(s, what, name) {
  gsub(/^[ \t]+|[ \t]+$/, "", s)
  what = "body"
  if (s ~ /namespace/) {
    what = s ~ /detail/ || kind[depth] == "detail" ? "detail" : (s ~ /namespace zo/ || kind[depth] == "zo" ? "zo" : "detail")
  } else if (is_public()) {
    if (!tail) name = declared(s)
    if (!tail) out(name)
    if (s ~ /(^| |>)enum /) what = "enum"
    else if (s ~ /(^|> ?|\) )(class|struct) [a-zA-Z_0-9]+[^()=]*$/) what = "class"
    continues = s ~ /\) *:[^:].*[a-zA-Z_0-9>]$/  # member_{…} of a constructor: its body comes yet
    tail = what == "body" && !continues && s !~ /(\)|const|noexcept|override)$/
  }
  ++depth
  rest[depth] = continues ? ")" : ""
  continues = 0
  kind[depth] = what
  class[depth] = what == "class" ? name : ""
  open_[depth] = s ~ /(^|> ?|\) )struct /
}
BEGIN {
  n = split("if for while return const constexpr inline static default delete typename this", words, " ")
  for (k = 1; k <= n; ++k) keyword[words[k]]
}
FNR == 1 {
  header = FILENAME
  sub(root, "", header)
  depth = 0; kind[0] = "file"; statement = ""; parens = 0; tail = 0
}
/^#define ZO_/ { sub(/^#define /, ""); out(word($0)) }
/^ *#/ { next }
{
  line = $0
  gsub(/"[^"]*"/, "", line)
  gsub(/'[^']'/, "", line)
  sub(/\/\/.*/, "", line)
  gsub(/\[\[[^]]*\]\]/, "", line)
  for (i = 1; i <= length(line); ++i) {
    c = substr(line, i, 1)
    if (c == "(") ++parens
    if (c == ")") --parens
    if (parens > 0 || c !~ /[{};:]/) {
      statement = statement c
    } else if (c == "{") {
      enter(statement)
      statement = ""
    } else if (c == "}") {
      if (kind[depth] == "enum") { --depth; enumerators(statement); ++depth }
      if (kind[depth] == "class" || kind[depth] == "enum") tail = 1
      statement = rest[depth]
      --depth
    } else if (c == ";") {
      if (is_public() && !tail && statement !~ /(^|>) *(class|struct) [a-zA-Z_0-9]+$/) {
        out(declared(statement))
      }
      if (kind[depth] != "body") tail = 0
      statement = ""
    } else if (kind[depth] == "class" && statement ~ /^ *(public|private|protected)$/) {
      open_[depth] = statement ~ /public/
      statement = ""
    } else {
      statement = statement c
    }
  }
  statement = statement " "
}

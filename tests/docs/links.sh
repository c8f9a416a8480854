#!/bin/sh
# links.sh ROOT: the files and headings that pages link to are there, and so are the scripts, presets,
# targets and options that their commands name.
set -u
cd "$1" || exit 1
bad=$(mktemp) && trap 'rm -f "$bad"' EXIT
say() { echo "$1" | tee -a "$bad"; }

# Headings as GitHub names them: small letters, blanks as hyphens, no other marks.
anchors() {
  sed -n 's/^##* //p' "$1" | sed 's/[A-Z]/\L&/g; s/[]`,.:;()?!/"'"'"'=[]//g; s/ /-/g'
}
for page in *.md docs/*.md; do
  folder=$(dirname "$page")
  awk '/^ *```/ { code = !code; next } !code' "$page" | sed 's/`[^`]*`//g' | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//' | grep -v '^https\?:' | while read -r link; do
    file=${link%%#*}
    target=$page
    [ -z "$file" ] || target=$folder/$file
    [ -e "$target" ] || { say "$page: there is no $file"; continue; }
    case "$link" in
      *#*) anchors "$target" | grep -qx -- "${link#*#}" || say "$page: $target has no heading for #${link#*#}" ;;
    esac
  done
  # Commands: the lines of ```sh blocks and `code` that begins with scripts/ or cmake.
  { awk '/^ *```sh$/ { on = 1; next } /^ *```/ { on = 0 } on' "$page"; grep -o '`\(scripts/\|cmake \)[^`]*`' "$page"; } |
    sed 's/#.*//' >"$bad.commands"
  for script in $(grep -o 'scripts/[a-z-]*' "$bad.commands" | sort -u); do
    [ -x "$script" ] || say "$page: there is no $script"
  done
  # Of a script or of the program that it ends in.
  for use in demo:examples/blackbox_defense deepzero:examples/deepzero bench:benchmarks gpu-check:scripts; do
    script=scripts/${use%%:*}
    for option in $(grep -o "$script .*" "$bad.commands" | grep -oE -- ' --[a-z0-9-]+' | sort -u); do
      grep -qE -- "$option([^a-z-]|\$)" "$script" || grep -rqE -- "$option([^a-z-]|\$)" "${use#*:}" ||
        say "$page: $script has no $option"
    done
  done
  for option in $(grep -o -- '-DZO_[A-Z_]*' "$bad.commands" | sort -u); do
    grep -qE "^ *(option|set)\(${option#-D} " CMakeLists.txt cmake/*.cmake ||
      say "$page: there is no option ${option#-D}"
  done
  for preset in $(grep -o -- '--preset [a-z]*' "$bad.commands" | sed 's/--preset //' | sort -u); do
    grep -q "\"name\": \"$preset\"" CMakePresets.json || say "$page: there is no preset $preset"
  done
  for target in $(grep -o -- '--target [a-z_ ]*' "$bad.commands" | sed 's/--target //' | tr ' ' '\n' | sort -u); do
    grep -qrE "add_executable\($target( |\$)" --include=CMakeLists.txt examples benchmarks tests ||
      say "$page: there is no target $target"
  done
  rm -f "$bad.commands"
done
[ ! -s "$bad" ]

#!/bin/sh
# fetch.sh ROOT WORK CMAKE OPTION…: a project of the README's lines for FetchContent can be configured,
# and their tag is this version's.
set -eu
root=$1 work=$2 cmake=$3
shift 3
rm -rf "$work" && mkdir -p "$work"
lines=$(awk '/^```cmake$/ { on = 1; block = ""; next } /^```/ && on { on = 0; if (block ~ /FetchContent/) printf "%s", block }
             on { block = block $0 "\n" }' "$root/README.md")
version=$(sed -n 's/.*int version_[a-z]* = \([0-9]*\);/\1/p' "$root/include/zo/config.hpp" | paste -sd.)
case "$lines" in
  *"GIT_TAG v$version)"*) ;;
  *) echo "README.md: the tag is not v$version: $lines"; exit 1 ;;
esac
{
  echo 'cmake_minimum_required(VERSION 3.23)'
  echo 'project(mine LANGUAGES CXX)'
  echo 'add_executable(mine main.cpp)'
  echo "$lines"
} >"$work/CMakeLists.txt"
cp "$root/examples/quickstart.cpp" "$work/main.cpp"
"$cmake" -S "$work" -B "$work/build" "-DFETCHCONTENT_SOURCE_DIR_ZO=$root" "$@"

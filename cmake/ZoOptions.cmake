# Flags for zo's own targets; nothing here reaches a project that links zo::zo, and nothing that a
# surrounding project wants for its own code reaches zo's.

if(ZO_SANITIZE)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${ZO_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
  add_link_options(-fsanitize=${ZO_SANITIZE})
endif()

if(NOT PROJECT_IS_TOP_LEVEL)
  foreach(tool CLANG_TIDY CPPCHECK CPPLINT INCLUDE_WHAT_YOU_USE)
    set(CMAKE_CXX_${tool} "")
  endforeach()
endif()

# Warnings are for who works on zo. No switch over an enumeration has a default, so that a new enumerator
# names the places that must know it.
function(zo_warnings target)
  if(zo_IS_TOP_LEVEL)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Werror=switch
                           $<$<BOOL:${ZO_WERROR}>:-Werror>)
  else()
    target_compile_options(${target} PRIVATE -w)
  endif()
endfunction()

# A library of zo. Its numbers must not depend on how a surrounding project is compiled: each flag that
# lets a compiler change them is taken back by name, because -fno-fast-math takes back no single one.
# Compiled with -Ofast, a shared library would also switch denormal numbers off in every program that
# loads it (crtfastmath.o), unless it is linked without. Inlining between files could take wide
# instructions out of theirs: no -flto.
function(zo_library target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET default VISIBILITY_INLINES_HIDDEN OFF
    UNITY_BUILD OFF INTERPROCEDURAL_OPTIMIZATION OFF
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_compile_features(${target} PUBLIC cxx_std_20)
  zo_warnings(${target})
  set(exact -fno-fast-math -fno-unsafe-math-optimizations -fno-finite-math-only -fno-associative-math
    -fno-reciprocal-math -fsigned-zeros -fno-rounding-math)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:${exact};-ffp-contract=off;-fexceptions;-frtti;-fno-lto;-fno-visibility-inlines-hidden>")
  target_link_options(${target} PRIVATE -O2 -fno-fast-math -fno-unsafe-math-optimizations)
endfunction()

# Configures, builds and runs the project beside this file in the folder WORK, with zo taken as HOW says:
#   installed  from zo's own build folder BUILD, as plain as can be; the prefix has a blank in its name
#              and was moved after the installation
#   hostile    add_subdirectory, shared, from a folder with an odd name, under every flag of the
#              project that could change what zo computes or whether it compiles
#   fetched    FetchContent, several configurations, optimized by the linker, with a checking standard
#              library
include(${CMAKE_CURRENT_LIST_DIR}/commands.cmake)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

set(build "${WORK}/build")
set(flags -O2)
set(config .)
set(programs consumer)
set(settings "")
set(from ${HOW})
if(HOW STREQUAL "installed")
  must_run("install" ${CMAKE_COMMAND} --install ${BUILD} --prefix "${WORK}/a prefix")
  file(RENAME "${WORK}/a prefix" "${WORK}/moved here")
  foreach(file include/zo/zo.hpp include/zo/eigen.hpp)
    if(NOT EXISTS "${WORK}/moved here/${file}")
      message(FATAL_ERROR "${file} is not installed")
    endif()
  endforeach()
  list(APPEND settings "-DCMAKE_PREFIX_PATH=${WORK}/moved here")
  list(APPEND programs network program)
elseif(HOW STREQUAL "hostile")
  set(from subdirectory)
  set(build "${WORK}/a 'build'")
  file(CREATE_LINK ${SOURCE} "${WORK}/zo's source" SYMBOLIC)
  set(SOURCE "${WORK}/zo's source")
  set(flags -Ofast -ffinite-math-only -fno-signed-zeros -fno-trapping-math -fassociative-math -march=native
    -fvisibility=hidden -fvisibility-inlines-hidden -fno-rtti -pedantic-errors -Wall -Wextra -Wpedantic
    -Wshadow -Wconversion -Wsign-conversion -Wundef -Werror -DFLAGS_OF_MY_OWN)
  list(APPEND settings -DBUILD_SHARED_LIBS=ON -DCMAKE_UNITY_BUILD=ON -DCMAKE_CXX_STANDARD=23
    -DCMAKE_CXX_EXTENSIONS=OFF -DCMAKE_CXX_VISIBILITY_PRESET=hidden -DCMAKE_VISIBILITY_INLINES_HIDDEN=ON)
elseif(HOW STREQUAL "fetched")
  set(flags -O0 -D_GLIBCXX_DEBUG)
  list(APPEND settings -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON -DCMAKE_DEBUG_POSTFIX=d)
  if(GENERATOR STREQUAL "Ninja")
    set(GENERATOR "Ninja Multi-Config")
    set(config Debug)
  endif()
endif()

list(JOIN flags " " flags)
list(APPEND settings -DHOW=${from} "-DZO_SOURCE=${SOURCE}" -DCMAKE_CXX_COMPILER=${COMPILER}
  -DCMAKE_BUILD_TYPE=None -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "-DCMAKE_CXX_FLAGS=${flags} ${FLAGS}"
  "-DCMAKE_EXE_LINKER_FLAGS=${FLAGS}" "-DCMAKE_SHARED_LINKER_FLAGS=${FLAGS}")
set(configure ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/project -B "${build}" -G ${GENERATOR})
must_run("configure" ${configure} ${settings})
must_run("build" ${CMAKE_COMMAND} --build "${build}" --config ${config})
file(STRINGS "${build}/compile_commands.json" commands REGEX "\"command\".*consume/project/")
string(REPLACE "${flags}" "" commands "${commands}")
if(commands MATCHES "-march|-mavx|-mfma|-f[no-]*fast-math|-fopenmp|-ffp-contract|-Werror|-Wconversion| -w |-frtti")
  message(FATAL_ERROR "flags of zo leak into its consumers: ${commands}")
endif()
foreach(program IN LISTS programs)
  must_run("run" "${build}/${config}/${program}")
  message(STATUS "${output}")
endforeach()

# One zo is enough.
if(HOW STREQUAL "installed")
  run("configure twice" ${configure} ${settings} -DHOW=twice)
  must_say("Take it from one place")
endif()

# Loaded by a program, the shared library leaves its denormal numbers alone.
if(HOW STREQUAL "hostile" AND NM)
  must_run("nm" ${NM} "${build}/zo/src/libzo.so")
  if(NOT output MATCHES "compiled_sum" OR output MATCHES "set_fast_math")
    message(FATAL_ERROR "libzo.so holds crtfastmath.o:\n${output}")
  endif()
endif()

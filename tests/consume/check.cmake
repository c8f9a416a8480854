# Configures, builds and runs the project beside this file, with zo taken as HOW says, in the folder
# WORK, by a plain -O2 compiler call. BUILD is zo's own build folder, for the installed copy.
include(${CMAKE_CURRENT_LIST_DIR}/commands.cmake)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

if(HOW STREQUAL "installed")
  must_run("install" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
  foreach(file include/zo/zo.hpp include/zo/eigen.hpp)
    if(NOT EXISTS ${WORK}/prefix/${file})
      message(FATAL_ERROR "${file} is not installed")
    endif()
  endforeach()
endif()
must_run("configure" ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/project -B ${WORK}/build
  -G ${GENERATOR} -DHOW=${HOW} -DZO_SOURCE=${SOURCE} -DCMAKE_CXX_COMPILER=${COMPILER}
  -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCMAKE_BUILD_TYPE=None -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
  "-DCMAKE_CXX_FLAGS=-O2 ${FLAGS}" "-DCMAKE_EXE_LINKER_FLAGS=${FLAGS}")
must_run("build" ${CMAKE_COMMAND} --build ${WORK}/build)
file(STRINGS ${WORK}/build/compile_commands.json commands REGEX "\"command\".*main\\.cpp")
if(commands MATCHES "-march|-mavx|-mfma|-ffast-math|-fopenmp|-ffp-contract|-Werror|-Wconversion")
  message(FATAL_ERROR "flags of zo leak into its consumers: ${commands}")
endif()
must_run("run" ${WORK}/build/consumer)
message(STATUS "${output}")

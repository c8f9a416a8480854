# Installs zo from BUILD and uses its component mpi from a project of someone else; where zo was built
# without MPI, the project is told so in a sentence.
include(${CMAKE_CURRENT_LIST_DIR}/commands.cmake)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

# As a packager installs: into a folder that stands for the root.
must_run("install" ${CMAKE_COMMAND} -E env DESTDIR=${WORK}/root ${CMAKE_COMMAND} --install ${BUILD} --prefix /opt/zo)
set(configure ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/mpi_project -B ${WORK}/build
  -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${WORK}/root/opt/zo
  "-DCMAKE_CXX_FLAGS=-O2 ${FLAGS}" "-DCMAKE_EXE_LINKER_FLAGS=${FLAGS}")
if(NOT HAS_MPI)
  run("configure" ${configure})
  must_say("this zo was built without MPI; configure it with -DZO_MPI=ON")
  return()
endif()
must_run("configure" ${configure})
must_run("build" ${CMAKE_COMMAND} --build ${WORK}/build)
must_run("run" ${MPIEXEC} -n 2 ${WORK}/build/consumer)
message(STATUS "${output}")

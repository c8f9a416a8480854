# Installs zo from BUILD and uses its component cuda from a project of someone else; where zo was built
# without CUDA, the project is told so in a sentence.
include(${CMAKE_CURRENT_LIST_DIR}/commands.cmake)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

must_run("install" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
set(configure ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/cuda_project -B ${WORK}/build
  -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CUDA_COMPILER=${NVCC} -DCMAKE_PREFIX_PATH=${WORK}/prefix
  "-DCMAKE_CXX_FLAGS=-O2 ${FLAGS}" "-DCMAKE_EXE_LINKER_FLAGS=${FLAGS}")
if(NOT HAS_CUDA)
  run("configure" ${configure})
  must_say("this zo was built without CUDA; configure it with -DZO_CUDA=ON")
  return()
endif()
must_run("configure" ${configure})
must_run("build" ${CMAKE_COMMAND} --build ${WORK}/build)
foreach(program consumer device_consumer)
  must_run("run" ${WORK}/build/${program})
  message(STATUS "${output}")
endforeach()

# The first step of an installation: builds the libraries zo_files where one is missing, or older than a
# file it may be made of.
function(zo_build_missing)
  file(LOCK ${zo_build}/zo_install.lock GUARD FUNCTION RESULT_VARIABLE locked)  # or not, where it cannot be written
  file(GLOB_RECURSE sources ${zo_source}/include/* ${zo_source}/src/* ${zo_source}/cuda/*)
  set(stale OFF)
  foreach(file IN LISTS zo_files)
    foreach(source IN LISTS sources)
      if("${source}" IS_NEWER_THAN "${file}")  # also where there is no such file
        set(stale ON)
      endif()
    endforeach()
  endforeach()
  if(NOT stale)
    return()
  endif()

  set(command ${CMAKE_COMMAND} --build ${zo_build} --target zo_libraries)
  if(CMAKE_INSTALL_CONFIG_NAME)
    list(APPEND command --config ${CMAKE_INSTALL_CONFIG_NAME})
  endif()
  message(STATUS "zo: building the libraries that are to be installed")
  execute_process(COMMAND ${command} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    list(JOIN command " " command)
    message(FATAL_ERROR "zo: nothing is installed, because the libraries cannot be built. See above why, "
      "or leave a part out: -DZO_CUDA=OFF, -DZO_MPI=OFF, -DZO_SERVICE=OFF. The command was: ${command}")
  endif()
endfunction()
zo_build_missing()

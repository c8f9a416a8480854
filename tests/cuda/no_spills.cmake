# Compiles SOURCE for sm_80 and sm_90, whatever the build is for, and fails when a kernel keeps anything in slow
# local memory: spilled registers, or a stack frame.
foreach(architecture 80 90)
  execute_process(
    COMMAND ${NVCC} -std=c++20 -fmad=false -O3 -Xptxas -v -arch=sm_${architecture} -cubin
            -I${ROOT} -I${ROOT}/include -o ${OUT} ${SOURCE}
    RESULT_VARIABLE result ERROR_VARIABLE report OUTPUT_VARIABLE output)
  string(APPEND report "${output}")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${SOURCE} does not compile for sm_${architecture}:\n${report}")
  endif()
  string(REGEX MATCHALL "[0-9]+ bytes stack frame, [0-9]+ bytes spill stores, [0-9]+ bytes spill loads"
         frames "${report}")
  if(NOT frames)
    message(FATAL_ERROR "no kernel in the compiler's report:\n${report}")
  endif()
  foreach(frame ${frames})
    if(NOT frame STREQUAL "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads")
      message(FATAL_ERROR "a kernel of ${SOURCE} uses local memory on sm_${architecture}:\n${report}")
    endif()
  endforeach()
  list(LENGTH frames count)
  message(STATUS "sm_${architecture}: ${count} kernels without spills")
endforeach()

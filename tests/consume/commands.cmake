# run(what command …) leaves `result` and `output`; must_run also ends the script where the command
# fails.
function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
  set(result "${result}" PARENT_SCOPE)
  set(output "${out}" PARENT_SCOPE)
endfunction()
function(must_run what)
  run(${what} ${ARGN})
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${what} failed:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

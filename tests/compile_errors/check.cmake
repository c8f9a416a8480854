# Compiles SOURCE with COMPILER. Its first line says what must come of it: "// expect: compiles", or
# a pattern that the errors must contain.
file(STRINGS ${SOURCE} first LIMIT_COUNT 1)
string(REGEX REPLACE "^// expect: " "" pattern "${first}")
execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only -I${INCLUDE} ${SOURCE}
                RESULT_VARIABLE result ERROR_VARIABLE errors)
if(pattern STREQUAL "compiles")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "this file must compile:\n${errors}")
  endif()
elseif(result EQUAL 0)
  message(FATAL_ERROR "this file must not compile")
elseif(NOT errors MATCHES "${pattern}")
  message(FATAL_ERROR "the errors must name ${pattern}:\n${errors}")
endif()

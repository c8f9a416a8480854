# Flags for zo's own targets; nothing here reaches a project that links zo::zo.

if(ZO_SANITIZE)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${ZO_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
  add_link_options(-fsanitize=${ZO_SANITIZE})
endif()

function(zo_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow
                         $<$<BOOL:${ZO_WERROR}>:-Werror>)
endfunction()

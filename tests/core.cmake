# Tests of the core: one program a concept. Included by tests/CMakeLists.txt.
set(known_answers ${CMAKE_CURRENT_SOURCE_DIR}/known_answers)

# Templates in many combinations: less optimization halves the time to compile them.
foreach(concept random direction rge cge objective failure execution boundary)
  zo_add_test(${concept}_test)
  target_compile_options(${concept}_test PRIVATE -O1)
endforeach()
find_package(OpenMP COMPONENTS CXX)
if(OpenMP_CXX_FOUND)
  target_link_libraries(execution_test PRIVATE OpenMP::OpenMP_CXX)
endif()

# The frozen bits are checked under every instruction set; a machine that lacks one skips it.
foreach(concept direction)
  target_compile_definitions(${concept}_test PRIVATE ZO_KNOWN_ANSWERS="${known_answers}")
  foreach(set generic avx2 avx512)
    add_test(NAME ${concept}.${set} COMMAND ${concept}_test)
    set_tests_properties(${concept}.${set} PROPERTIES
      ENVIRONMENT "ZO_INSTRUCTION_SET=${set};OMP_WAIT_POLICY=passive"
      SKIP_REGULAR_EXPRESSION "has no instruction set ${set}")
  endforeach()
endforeach()

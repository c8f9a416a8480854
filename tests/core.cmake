# Tests of the core: one program a concept. Included by tests/CMakeLists.txt.
set(known_answers ${CMAKE_CURRENT_SOURCE_DIR}/known_answers)

# Templates in many combinations: less optimization halves the time to compile them.
foreach(concept random direction rge cge objective failure execution boundary
        optimizer minimize eigen error)
  zo_add_test(${concept}_test)
  target_compile_options(${concept}_test PRIVATE -O1)
endforeach()
find_package(OpenMP COMPONENTS CXX)
if(OpenMP_CXX_FOUND)
  target_link_libraries(execution_test PRIVATE OpenMP::OpenMP_CXX)
endif()

find_package(Eigen3 REQUIRED)
target_link_libraries(eigen_test PRIVATE Eigen3::Eigen)

foreach(concept determinism allocation)
  zo_add_test(${concept}_test)
endforeach()

# The same source under flags that let a compiler fuse and widen: a user's own flags change no bit.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag("-mavx2 -mfma -ffp-contract=fast" ZO_CAN_COMPILE_FMA)
if(ZO_CAN_COMPILE_FMA)
  add_executable(determinism_fma_test determinism_test.cpp)
  target_link_libraries(determinism_fma_test PRIVATE zo::zo GTest::gtest_main)
  target_include_directories(determinism_fma_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(determinism_fma_test PRIVATE ZO_KNOWN_ANSWERS="${known_answers}")
  target_compile_options(determinism_fma_test PRIVATE -O3 -mavx2 -mfma -ffp-contract=fast)
  zo_warnings(determinism_fma_test)
  add_test(NAME determinism.fma COMMAND determinism_fma_test)
  set_tests_properties(determinism.fma PROPERTIES ENVIRONMENT OMP_WAIT_POLICY=passive
    SKIP_REGULAR_EXPRESSION "this machine has no instruction set")
endif()

# The frozen bits are checked under every instruction set; a machine that lacks one skips it.
foreach(concept direction determinism)
  target_compile_definitions(${concept}_test PRIVATE ZO_KNOWN_ANSWERS="${known_answers}")
  foreach(set generic avx2 avx512)
    add_test(NAME ${concept}.${set} COMMAND ${concept}_test)
    set_tests_properties(${concept}.${set} PROPERTIES
      ENVIRONMENT "ZO_INSTRUCTION_SET=${set};OMP_WAIT_POLICY=passive"
      SKIP_REGULAR_EXPRESSION "has no instruction set ${set}")
  endforeach()
endforeach()

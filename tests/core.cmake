# Tests of the core: one program a concept. Included by tests/CMakeLists.txt.
set(known_answers ${CMAKE_CURRENT_SOURCE_DIR}/known_answers)

set(concepts random bfloat16 candidate direction direction_lane perturb lazy black_box shared machine rge cge
    any_estimator objective smoothing noise failure execution boundary pullback coloring jacobian find_sparsity quadrature lbfgs least_squares optimizer proximal minimize minimize_async time_limit ask in_place inside integers space frank_wolfe error team rounding
    interrupt progress watch)
find_package(Eigen3 QUIET)
if(TARGET Eigen3::Eigen)
  list(APPEND concepts eigen)
else()
  message(STATUS "zo: the tests of zo/eigen.hpp are left out, because Eigen is missing")
endif()

# Templates in many combinations: less optimization halves the time to compile them.
foreach(concept ${concepts})
  zo_add_test(${concept}_test)
  target_compile_options(${concept}_test PRIVATE -O1)
endforeach()
find_package(OpenMP COMPONENTS CXX)
if(OpenMP_CXX_FOUND)
  target_link_libraries(execution_test PRIVATE OpenMP::OpenMP_CXX)
  set_target_properties(execution_test PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)  # they are without OpenMP
endif()

if(TARGET Eigen3::Eigen)
  target_link_libraries(eigen_test PRIVATE Eigen3::Eigen)
endif()

zo_add_test(generic_test)
target_include_directories(generic_test PRIVATE ${PROJECT_SOURCE_DIR}/src)

foreach(concept determinism allocation)
  zo_add_test(${concept}_test)
endforeach()
target_link_libraries(determinism_test PRIVATE zo::nn)

# Under flags that let a compiler take it that all numbers are finite.
add_executable(finite_test finite_test.cpp)
target_link_libraries(finite_test PRIVATE zo::zo GTest::gtest_main)
target_compile_options(finite_test PRIVATE -O2 -ffast-math)
target_link_options(finite_test PRIVATE -ffast-math)
zo_warnings(finite_test)
gtest_discover_tests(finite_test PROPERTIES ENVIRONMENT OMP_WAIT_POLICY=passive)

# The same source under flags that let a compiler fuse, widen and reorder, and in a process that flushes
# denormals: a user's own flags change no bit.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag("-mavx2 -mfma -ffast-math" ZO_CAN_COMPILE_FMA)
if(ZO_CAN_COMPILE_FMA)
  add_executable(determinism_fma_test determinism_test.cpp)
  target_link_options(determinism_fma_test PRIVATE -ffast-math)
  target_link_libraries(determinism_fma_test PRIVATE zo::nn GTest::gtest_main)
  target_include_directories(determinism_fma_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(determinism_fma_test PRIVATE ZO_KNOWN_ANSWERS="${known_answers}")
  target_compile_options(determinism_fma_test PRIVATE -O3 -mavx2 -mfma -ffp-contract=fast -ffast-math)
  zo_warnings(determinism_fma_test)
  add_test(NAME determinism.fma COMMAND determinism_fma_test)
  set_tests_properties(determinism.fma PROPERTIES ENVIRONMENT OMP_WAIT_POLICY=passive
    SKIP_REGULAR_EXPRESSION "this machine has no instruction set")
endif()

# The frozen bits are checked under every instruction set; a machine that lacks one skips it.
foreach(concept direction determinism)
  target_compile_definitions(${concept}_test PRIVATE ZO_KNOWN_ANSWERS="${known_answers}")
  foreach(set generic avx2 avx512 neon)
    add_test(NAME ${concept}.${set} COMMAND ${concept}_test)
    set_tests_properties(${concept}.${set} PROPERTIES
      ENVIRONMENT "ZO_INSTRUCTION_SET=${set};OMP_WAIT_POLICY=passive"
      SKIP_REGULAR_EXPRESSION "has no instruction set ${set}")
  endforeach()
endforeach()

if(CMAKE_NM AND NOT ZO_SANITIZE)
  add_test(NAME direction.wide_code_stays_in_its_file
           COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} "-DOBJECTS=$<TARGET_OBJECTS:zo>;$<TARGET_OBJECTS:zo_nn>"
                   -P ${CMAKE_CURRENT_SOURCE_DIR}/no_weak_symbols.cmake)
endif()

# Random objectives against what must always hold; scripts/check-oracles makes many more queries.
add_executable(random_oracles random_oracles.cpp)
target_link_libraries(random_oracles PRIVATE zo::zo)
target_compile_options(random_oracles PRIVATE -O1)
zo_warnings(random_oracles)
add_test(NAME random_oracles COMMAND random_oracles 100000)
set_tests_properties(random_oracles PROPERTIES ENVIRONMENT OMP_WAIT_POLICY=passive)

# A million random failures; scripts/check-oracles makes more.
add_executable(random_faults random_faults.cpp)
target_link_libraries(random_faults PRIVATE zo::zo)
target_compile_options(random_faults PRIVATE -O1)
zo_warnings(random_faults)
add_test(NAME random_faults COMMAND random_faults 1000000)
set_tests_properties(random_faults PROPERTIES ENVIRONMENT OMP_WAIT_POLICY=passive)

if(TARGET ask_and_tell)
  add_test(NAME ask.after_kill
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/ask_after_kill.sh $<TARGET_FILE:ask_and_tell> 100 1)
endif()

# Every header compiles alone, and all of them link together twice over.
file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include
     ${PROJECT_SOURCE_DIR}/include/zo/*.hpp ${PROJECT_SOURCE_DIR}/include/zo/rule/*.hpp
     ${PROJECT_SOURCE_DIR}/include/zo/nn/*.hpp)
list(REMOVE_ITEM headers zo/torch.hpp zo/cuda.hpp zo/mpi.hpp)  # need more: compiled with their own tests
if(NOT TARGET Eigen3::Eigen)
  list(REMOVE_ITEM headers zo/eigen.hpp)
endif()
set(header_sources consume/project/main.cpp consume/project/wrapper.cpp)
foreach(header ${headers})
  string(MAKE_C_IDENTIFIER ${header} name)
  file(CONFIGURE OUTPUT headers/${name}.cpp CONTENT "#include \"${header}\"\n")
  list(APPEND header_sources ${CMAKE_CURRENT_BINARY_DIR}/headers/${name}.cpp)
endforeach()
add_executable(header_test ${header_sources})
target_link_libraries(header_test PRIVATE zo::nn $<TARGET_NAME_IF_EXISTS:Eigen3::Eigen>)
target_compile_options(header_test PRIVATE -O0 -g0 -Wpedantic -Wsign-conversion -Wundef -Wnon-virtual-dtor)
zo_warnings(header_test)
add_test(NAME headers.compile_alone COMMAND header_test)

# What must not compile, and with which name in the errors.
function(zo_add_compile_errors prefix compiler arguments)
  foreach(source ${ARGN})
    get_filename_component(name ${source} NAME_WE)
    add_test(NAME ${prefix}.${name}
             COMMAND ${CMAKE_COMMAND} -DSOURCE=${source} -DCOMPILER=${compiler} "-DARGUMENTS=${arguments}"
                     -DINCLUDE=${PROJECT_SOURCE_DIR}/include
                     -P ${PROJECT_SOURCE_DIR}/tests/compile_errors/check.cmake)
  endforeach()
endfunction()
file(GLOB wrong_programs CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/compile_errors/*.cpp)
zo_add_compile_errors(compile_errors ${CMAKE_CXX_COMPILER} -fsyntax-only ${wrong_programs})

# Other people's projects, with flags of their own and none of ours.
set(consumer_flags "")
if(ZO_SANITIZE)
  set(consumer_flags -fsanitize=${ZO_SANITIZE})
endif()
foreach(how installed hostile fetched)
  if(how STREQUAL "installed" AND NOT ZO_INSTALL)
    continue()
  endif()
  add_test(NAME consume.${how}
           COMMAND ${CMAKE_COMMAND} -DHOW=${how} -DSOURCE=${PROJECT_SOURCE_DIR}
                   -DBUILD=${PROJECT_BINARY_DIR} -DWORK=${CMAKE_CURRENT_BINARY_DIR}/consume/${how}
                   -DGENERATOR=${CMAKE_GENERATOR} -DCOMPILER=${CMAKE_CXX_COMPILER} -DNM=${CMAKE_NM}
                   -DFLAGS=${consumer_flags}
                   -P ${CMAKE_CURRENT_SOURCE_DIR}/consume/check.cmake)
endforeach()

add_test(NAME consume.build_missing
         COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DGENERATOR=${CMAKE_GENERATOR}
                 -DWORK=${CMAKE_CURRENT_BINARY_DIR}/consume/build_missing
                 -P ${CMAKE_CURRENT_SOURCE_DIR}/consume/build_missing.cmake)

if(ZO_INSTALL)
  add_test(NAME consume.cuda
           COMMAND ${CMAKE_COMMAND} -DHAS_CUDA=${ZO_HAS_CUDA} -DBUILD=${PROJECT_BINARY_DIR}
                   -DWORK=${CMAKE_CURRENT_BINARY_DIR}/consume/cuda -DGENERATOR=${CMAKE_GENERATOR}
                   -DCOMPILER=${CMAKE_CXX_COMPILER} -DNVCC=${CMAKE_CUDA_COMPILER}
                   -DFLAGS=${consumer_flags} -P ${CMAKE_CURRENT_SOURCE_DIR}/consume/cuda.cmake)
endif()

if(ZO_INSTALL)
  add_test(NAME consume.mpi
           COMMAND ${CMAKE_COMMAND} -DHAS_MPI=${ZO_HAS_MPI} -DBUILD=${PROJECT_BINARY_DIR}
                   -DWORK=${CMAKE_CURRENT_BINARY_DIR}/consume/mpi -DGENERATOR=${CMAKE_GENERATOR}
                   -DCOMPILER=${CMAKE_CXX_COMPILER} -DFLAGS=${consumer_flags}
                   -DMPIEXEC=${MPIEXEC_EXECUTABLE} -P ${CMAKE_CURRENT_SOURCE_DIR}/consume/mpi.cmake)
  set_tests_properties(consume.mpi PROPERTIES ENVIRONMENT "${zo_mpi_on_one_machine}")
endif()

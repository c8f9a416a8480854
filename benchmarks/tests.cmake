# Nothing is timed here: these only keep the benchmarks from rotting.
add_test(NAME benchmarks.claims_run COMMAND zo_claims --smoke)
set_tests_properties(benchmarks.claims_run PROPERTIES
  ENVIRONMENT OMP_WAIT_POLICY=passive PASS_REGULAR_EXPRESSION "d = 1e7")
# A result that differs from the peer's, or an estimate further from float64 than the peer's, fails.
add_test(NAME benchmarks.network_claims_run COMMAND zo_network_claims --smoke)
set_tests_properties(benchmarks.network_claims_run PROPERTIES ENVIRONMENT OMP_WAIT_POLICY=passive)
# Two processes that find other bits than one fail.
if(TARGET zo_mpi_claims)
  add_test(NAME benchmarks.mpi_claims_run
    COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} 2 $<TARGET_FILE:zo_mpi_claims> --smoke)
  set_tests_properties(benchmarks.mpi_claims_run PROPERTIES
    LABELS mpi TIMEOUT 300 ENVIRONMENT "${zo_mpi_on_one_machine}")
  set(mpi_claims $<TARGET_FILE:zo_mpi_claims>)
endif()
if(TARGET zo_mpi_scaling)
  add_test(NAME benchmarks.mpi_scaling
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/mpi/scaling_test.sh $<TARGET_FILE:zo_mpi_scaling>)
endif()
if(TARGET zo_benchmarks)
  add_test(NAME benchmarks.microbenchmarks_run
    COMMAND zo_benchmarks --benchmark_min_time=0 --benchmark_filter=d:100$|d:100/|multiply)
  set_tests_properties(benchmarks.microbenchmarks_run PROPERTIES
    ENVIRONMENT OMP_WAIT_POLICY=passive)
endif()
if(TARGET zo_network_estimates)
  add_test(NAME benchmarks.network_estimates_run
    COMMAND zo_network_estimates --batch 8 --directions 2)
  set_tests_properties(benchmarks.network_estimates_run PROPERTIES
    ENVIRONMENT OMP_WAIT_POLICY=passive SKIP_REGULAR_EXPRESSION "is missing")
endif()
add_test(NAME benchmarks.arguments
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/arguments_test.sh $<TARGET_FILE:zo_claims> ${mpi_claims})
# The results of the claims about GPUs, on the emulator: a wrong one fails.
add_test(NAME benchmarks.cuda_claims_run COMMAND zo_cuda_claims_emulated --smoke)
set(programs $<TARGET_FILE:zo_cuda_claims_emulated>)
if(TARGET zo_cuda_claims)
  list(APPEND programs $<TARGET_FILE:zo_cuda_claims>)
endif()
add_test(NAME benchmarks.cuda_arguments
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/cuda/arguments_test.sh ${programs})

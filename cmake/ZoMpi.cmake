# Finds MPI, or explains. Sets ZO_HAS_MPI. ZO_MPI=AUTO builds zo::mpi where MPI is installed.
if(PROJECT_IS_TOP_LEVEL)
  set(ZO_MPI_default AUTO)
else()
  set(ZO_MPI_default OFF)
endif()
set(ZO_MPI ${ZO_MPI_default} CACHE STRING "zo::mpi: AUTO (where MPI is found), ON or OFF")
set_property(CACHE ZO_MPI PROPERTY STRINGS AUTO ON OFF)
set(ZO_HAS_MPI OFF)

if(ZO_MPI)
  find_package(MPI QUIET COMPONENTS CXX)
  if(MPI_CXX_FOUND)
    set(ZO_HAS_MPI ON)
  elseif(ZO_MPI STREQUAL "ON")
    message(FATAL_ERROR "ZO_MPI=ON, but CMake found no MPI. Install it (Debian: libopenmpi-dev openmpi-bin), "
                        "or use ZO_MPI=OFF.")
  endif()
endif()

# For tests that run as several processes: more of them than cores, perhaps by root. On a cluster
# nobody would. Open MPI keeps memory to the end, which is no leak of ours.
set(zo_mpi_on_one_machine OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  OMPI_MCA_hwloc_base_binding_policy=none
  ASAN_OPTIONS=detect_leaks=0)

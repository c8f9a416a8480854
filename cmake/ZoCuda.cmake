# Finds the CUDA compiler, or explains. Sets ZO_HAS_CUDA. ZO_CUDA=AUTO builds the backend where a
# compiler is found; no GPU is needed to build it.
# A project that includes ours asks for it by name: its languages are its own business.
if(PROJECT_IS_TOP_LEVEL)
  set(ZO_CUDA_default AUTO)
else()
  set(ZO_CUDA_default OFF)
endif()
set(ZO_CUDA ${ZO_CUDA_default} CACHE STRING "CUDA backend: AUTO (where a CUDA compiler is found), ON or OFF")
set_property(CACHE ZO_CUDA PROPERTY STRINGS AUTO ON OFF)
set(ZO_HAS_CUDA OFF)

if(ZO_CUDA)
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80 90)  # the last one also as PTX; "native" would need a GPU here
    endif()
    enable_language(CUDA)
    set(ZO_HAS_CUDA ON)
  elseif(ZO_CUDA STREQUAL "ON")
    message(FATAL_ERROR "ZO_CUDA=ON, but CMake found no CUDA compiler. Install the CUDA Toolkit and put "
                        "nvcc on the PATH (or set CMAKE_CUDA_COMPILER), or use ZO_CUDA=OFF.")
  endif()
endif()

# CMake 3.25 does not know C++20 for nvcc. Calls between host and device code that cannot work are
# warnings by default: errors here. No contraction: each fused multiply-add is written. Division and
# roots as IEEE has them, whatever CMAKE_CUDA_FLAGS say.
function(zo_cuda_options target)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-fmad=false;-ftz=false;-prec-div=true;-prec-sqrt=true;-diag-error=20011,20012,20013,20014,20015;-Xcompiler=-Werror=switch>")
endfunction()

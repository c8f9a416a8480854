// CUDA's runtime, and whether this file is compiled as device code.
#pragma once

#if !__has_include(<cuda_runtime_api.h>)
#error \
    "zo/cuda.hpp needs the CUDA Toolkit: install it and link zo::cuda (find_package(zo COMPONENTS cuda)), or include zo/zo.hpp and use zo::par."
#endif

#include <cuda_runtime_api.h>

/// 1 where kernels can be written: in what nvcc compiles, and on an emulated GPU.
#if defined(__CUDACC__) || defined(ZO_CUDA_EMULATOR)
#define ZO_DEVICE_CODE 1
#else
#define ZO_DEVICE_CODE 0
#endif

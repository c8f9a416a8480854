// The elements of rules (zo/optimizer.hpp) on the device: a GPU thread a coordinate, the same bits
// as the loops of the CPU where neither is contracted. Device code: zo/cuda.hpp includes it in
// files that nvcc compiles.
#pragma once

#include "zo/cuda/device_code.hpp"

#if !ZO_DEVICE_CODE
#error "zo/cuda/element.hpp holds device code: compile this file with nvcc (name it *.cu)"
#endif

#include <cuda_runtime.h>

#include "zo/config.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/rule/list.hpp"

namespace zo::cuda::detail {

template <class Element, class T>
struct element_piece {
  Element element;
  const T* g;
  unsigned long long* infinite;

  __device__ void operator()(index_t i) const {
    if constexpr (zo::detail::ending_element<Element>) {
      element(i);
    } else {
      if (!element(i, g[i]) && infinite != nullptr) *infinite = 1;
    }
  }
};

template <class Element, class T>
void walk_here(const stream_context& at, const Element& element, index_t count, const T* gradient,
               unsigned long long* infinite) {
  for_items(at.stream, count, element_piece<Element, T>{element, gradient, infinite},
            "launching the kernel of an optimizer");
}

}  // namespace zo::cuda::detail

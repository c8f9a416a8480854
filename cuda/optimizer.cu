// One step of an optimizer on the device. Work of a thread: one coordinate (optimizer_element.hpp),
// the same bits as the loops of src/optimizer.cpp.
#include "zo/optimizer.hpp"

#include "cuda/launch.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/optimizer_element.hpp"

namespace zo::cuda::detail {

namespace {

template <class Element, class T>
struct update_piece {
  Element element;
  const T* g;
  unsigned long long* infinite;
  __device__ void operator()(index_t i) const {
    if (!element(i, g[i]) && infinite != nullptr) *infinite = 1;
  }
};

template <class Element, class T>
void update(const place& at, const Element& element, index_t count, const T* g,
            unsigned long long* infinite) {
  for_items(at.stream, count, update_piece<Element, T>{element, g, infinite},
            "launching the kernel of an optimizer");
}

}  // namespace

template <class T>
void sgd_update(const place& at, const zo::detail::update_numbers& n, index_t count, const T* g,
                T* const state[2], T* x, unsigned long long* infinite) {
  update(at, zo::detail::sgd_element<T>(n, x, state), count, g, infinite);
}
template <class T>
void sign_sgd_update(const place& at, const zo::detail::update_numbers& n, index_t count,
                     const T* g, T* const state[2], T* x, unsigned long long* infinite) {
  update(at, zo::detail::sign_sgd_element<T>(n, x, state), count, g, infinite);
}
template <class T>
void adam_update(const place& at, const zo::detail::update_numbers& n, index_t count, const T* g,
                 T* const state[2], T* x, unsigned long long* infinite) {
  update(at, zo::detail::adam_element<T>(n, x, state), count, g, infinite);
}

#define ZO_INSTANTIATE(T)                                                                       \
  template void sgd_update(const place&, const zo::detail::update_numbers&, index_t, const T*,  \
                           T* const[2], T*, unsigned long long*);                               \
  template void sign_sgd_update(const place&, const zo::detail::update_numbers&, index_t,       \
                                const T*, T* const[2], T*, unsigned long long*);                \
  template void adam_update(const place&, const zo::detail::update_numbers&, index_t, const T*, \
                            T* const[2], T*, unsigned long long*);
ZO_INSTANTIATE(float)
ZO_INSTANTIATE(double)
#undef ZO_INSTANTIATE

}  // namespace zo::cuda::detail

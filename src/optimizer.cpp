// Element loops of the optimizers. Compiled here without contraction, so that a program's own flags
// cannot change the bits of a run.
#include "zo/optimizer.hpp"

#include "zo/optimizer_element.hpp"

namespace zo::detail {

namespace {

template <class Element, class T>
void update(const Element& element, index_t count, const T* g) {
  for (index_t i = 0; i < count; ++i) element(i, g[i]);
}

}  // namespace

template <class T>
void sgd_update(const update_numbers& n, index_t count, const T* g, T* const state[2], T* x) {
  update(sgd_element<T>(n, x, state), count, g);
}

template <class T>
void sign_sgd_update(const update_numbers& n, index_t count, const T* g, T* const state[2], T* x) {
  update(sign_sgd_element<T>(n, x, state), count, g);
}

template <class T>
void adam_update(const update_numbers& n, index_t count, const T* g, T* const state[2], T* x) {
  update(adam_element<T>(n, x, state), count, g);
}

template void sgd_update<float>(const update_numbers&, index_t, const float*, float* const[2],
                                float*);
template void sgd_update<double>(const update_numbers&, index_t, const double*, double* const[2],
                                 double*);
template void sign_sgd_update<float>(const update_numbers&, index_t, const float*, float* const[2],
                                     float*);
template void sign_sgd_update<double>(const update_numbers&, index_t, const double*,
                                      double* const[2], double*);
template void adam_update<float>(const update_numbers&, index_t, const float*, float* const[2],
                                 float*);
template void adam_update<double>(const update_numbers&, index_t, const double*, double* const[2],
                                  double*);

}  // namespace zo::detail

// The estimators that have a name, and whole runs, on the machine of the host: a program pays for
// its objective alone, and for an estimator of its own.
#include "zo/cge.hpp"
#include "zo/rge.hpp"
#include "zo/run.hpp"

namespace zo::detail {

template class slope_run<machine<float>, rge_slopes<machine<float>, gaussian, forward>>;
template class slope_run<machine<float>, rge_slopes<machine<float>, rademacher, forward>>;
template class slope_run<machine<float>, rge_slopes<machine<float>, sphere, forward>>;
template class slope_run<machine<float>, rge_slopes<machine<float>, gaussian, central>>;
template class slope_run<machine<float>, rge_slopes<machine<float>, rademacher, central>>;
template class slope_run<machine<float>, rge_slopes<machine<float>, sphere, central>>;
template class slope_run<machine<double>, rge_slopes<machine<double>, gaussian, forward>>;
template class slope_run<machine<double>, rge_slopes<machine<double>, rademacher, forward>>;
template class slope_run<machine<double>, rge_slopes<machine<double>, sphere, forward>>;
template class slope_run<machine<double>, rge_slopes<machine<double>, gaussian, central>>;
template class slope_run<machine<double>, rge_slopes<machine<double>, rademacher, central>>;
template class slope_run<machine<double>, rge_slopes<machine<double>, sphere, central>>;
template class slope_run<machine<float>, cge_slopes<machine<float>, forward>>;
template class slope_run<machine<float>, cge_slopes<machine<float>, central>>;
template class slope_run<machine<double>, cge_slopes<machine<double>, forward>>;
template class slope_run<machine<double>, cge_slopes<machine<double>, central>>;

template class minimize_run<machine<float>>;
template class minimize_run<machine<double>>;

}  // namespace zo::detail

#include "nn/layer/pool.hpp"

namespace zo::nn::detail {

node pooled(operation what, index_t from, const shape& in, const pool_options& o) {
  zo::detail::require(
      o.kernel >= 1 && o.stride >= 1 && o.kernel <= in.height && o.kernel <= in.width,
      "zo::nn::network: a pool of ", o.kernel, " with stride ", o.stride, " does not fit into ",
      text_of(in));
  node n;
  n.what = what;
  n.first = from;
  n.in = in;
  n.kernel = o.kernel;
  n.stride = o.stride;
  n.out = {in.channels, (in.height - o.kernel) / o.stride + 1,
           (in.width - o.kernel) / o.stride + 1};
  return n;
}

}  // namespace zo::nn::detail

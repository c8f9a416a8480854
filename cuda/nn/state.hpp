// Networks on the device, on the host's side: what an objective holds. Its stages have a file each:
// batch.cpp, memory.cpp, pass.cpp, layout.cpp, groups.cpp, probe.cpp; objective.cpp is what users
// call.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "cuda/nn/launches.hpp"
#include "src/nn/plan.hpp"
#include "zo/cuda/network.hpp"
#include "zo/cuda/operations.hpp"

namespace zo::cuda::detail {

// The difference of one value on its way, and where it lies: bytes of one probe, times their
// number.
struct placed : nn::detail::change {
  bool rounded = false;  // kept in bfloat16
  index_t place = -1, bytes = 0;
  index_t sums = -1, sums_bytes = 0;  // that its product makes for the batch norm that reads it
};

struct placed_unit {
  nn::detail::reached what;
  placed main{}, other{}, out{};
  bool tensor = false;  // products on tensor cores
  // While it is made: of a batch norm whose statistics follow, or of an attention.
  index_t sums = -1, responses = -1, scores = -1;
};

// What follows where one node has changed.
struct layout {
  placed begin, end;  // of the node, and of the outputs
  index_t channels = -1, parts = -1;
  std::vector<placed_unit> units;
  index_t multiplications = 0;  // of one sample
  index_t bytes = 0;            // of a probe
};

template <class T>
struct network_state {
  static constexpr const char* who = "zo::cuda::network_objective";

  policy on;
  nn::network net;
  std::function<network_batch<T>(sample_id)> batch_of;
  span<const T> running;
  network_options options;

  nn::detail::plan plan{net};
  std::vector<window> windows{};        // by node
  std::map<index_t, layout> layouts{};  // by node; of `samples`

  // Of the last pass.
  index_t samples = 0;
  network_batch<T> batch{};
  const T* x = nullptr;
  bool prepared = false;
  index_t multiplications = 0;  // of probes since then
  buffer kept{}, scratch{};
  std::vector<T*> values{};                     // by node
  std::vector<T*> arranged{};                   // weights, by node
  std::vector<bfloat16*> rounded{};             // by node
  std::vector<norm_base<T>> norms{};            // by node
  std::vector<row_moments> row_norms{};         // by node
  std::vector<attention_base<T>> attentions{};  // by node
  T* partial = nullptr;                         // sums of a batch norm
  double *loss_kept = nullptr, *parts = nullptr;

  static std::size_t at(index_t i) { return static_cast<std::size_t>(i); }
  const std::vector<nn::node>& nodes() const { return net.nodes(); }
  bool trains() const { return options.mode == nn::norm_mode::train; }
  cudaStream_t stream() const { return on.stream(); }
  const T* parameter(index_t number) const {
    return number < 0 ? nullptr : x + net.parameters()[at(number)].offset;
  }
  const T* value(index_t id) const { return id < 0 ? nullptr : values[at(id)]; }
  index_t rows(index_t id) const { return samples * nodes()[at(id)].out.area(); }
  index_t numbers(index_t id) const { return samples * nodes()[at(id)].out.size(); }
  bool on_tensor_cores(index_t id) const {
    return options.products == nn::products::bfloat16 && nn::mixes(nodes()[at(id)].what) &&
           has_tensor_form(windows[at(id)]);
  }
  const nn::detail::unit& unit(const placed_unit& u) const { return plan.units[at(u.what.unit)]; }

  // memory.cpp
  template <class Keep>
  void keep_of_layer(index_t id, const Keep& keep);
  void lay_out();

  // batch.cpp
  void check_call(index_t dimension, cudaStream_t given) const;
  void set_up(const network_batch<T>& next);
  loss_targets targets() const;

  // pass.cpp
  void run(const T* point);
  void evaluate(index_t id);
  void run_norm(index_t id);
  void round_weights();
  void run_loss(double* loss);
  void move_statistics(span<T> statistics, double momentum);
  embedding_table<T> table_of(const nn::node& n) const;

  // layout.cpp
  const layout& layout_from(index_t id);

  // groups.cpp
  index_t take_room(const std::vector<std::pair<const layout*, index_t>>& asked,
                    index_t order_bytes);
  void probe(std::span<const index_t> known, span<const index_t> coordinates, span<const T> steps,
             span<double> differences);
};

inline attention_shape attention_of(const nn::node& n) {
  return {static_cast<int>(n.heads), static_cast<int>(n.out.channels / n.heads),
          static_cast<int>(n.in.area()), n.causal};
}

}  // namespace zo::cuda::detail

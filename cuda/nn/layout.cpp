// Where the differences of a probe lie: the plan says which there are and who reads them last, this
// how many bytes they take here, and in which form.
#include "cuda/nn/memory.hpp"
#include "cuda/nn/state.hpp"

namespace zo::cuda::detail {

namespace {

template <class T>
class layout_maker {
 public:
  explicit layout_maker(const network_state<T>& state)
      : state_(state), known_(state.nodes().size()) {}

  layout from(index_t id) {
    const nn::detail::path path(state_.net, state_.plan, id, extent::channel);
    layout way;
    known_[at(id)] = way.begin = place(id, path.begin);
    way.channels = memory_.take(static_cast<index_t>(sizeof(int)));
    way.parts = memory_.take(state_.samples * static_cast<index_t>(sizeof(double)));
    for (const nn::detail::reached& r : path.units) way.units.push_back(place_unit(r));
    way.end = known_.back();
    way.multiplications = path.multiplications;
    way.bytes = memory_.bytes();
    return way;
  }

 private:
  static std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

  placed_unit place_unit(const nn::detail::reached& r) {
    const nn::detail::unit& u = state_.plan.units[at(r.unit)];
    placed_unit made{.what = r};
    made.main = known_[at(r.main_node)];
    if (r.other.how != extent::none) made.other = known_[at(u.other)];
    made.tensor = r.main.how == extent::full && state_.on_tensor_cores(u.last);
    made.out = place(u.last, r.out);
    if (made.tensor && state_.trains() && state_.plan.norm_after[at(u.last)] >= 0) {
      const index_t tile = tensor_rows(state_.windows[at(u.last)]);
      made.out.sums_bytes =
          sum_bytes(state_.nodes()[at(u.last)].out.channels, tiles_of(state_.rows(u.last), tile));
      made.out.sums = memory_.take(made.out.sums_bytes);
    }
    known_[at(u.last)] = made.out;
    if (r.normed && state_.trains()) place_norm(u, made);
    const nn::node& n = state_.nodes()[at(u.last)];
    if (n.what == nn::operation::attention) place_scores(n, made);
    for (const index_t id : r.released) release(id);
    return made;
  }

  // Full differences of images, and those that tensor cores read, are kept in bfloat16.
  placed place(index_t id, const nn::detail::change& c) {
    const nn::shape& s = state_.nodes()[at(id)].out;
    const auto by_tensor_cores = [&](const nn::detail::unit& u) {
      return u.main == id && state_.on_tensor_cores(u.last);
    };
    const bool is_output = at(id) + 1 == known_.size();
    placed p{c};
    p.rounded = state_.options.products == nn::products::bfloat16 && c.how == extent::full &&
                !is_output &&
                (s.area() > 1 || std::ranges::any_of(state_.plan.units, by_tensor_cores));
    const index_t numbers = state_.samples * (c.how == extent::channel ? s.area() : s.size());
    p.bytes = numbers * static_cast<index_t>(p.rounded ? sizeof(bfloat16) : sizeof(T));
    p.place = memory_.take(p.bytes);
    return p;
  }

  // Sums, where no product made them, and responses: while the batch norm is passed.
  void place_norm(const nn::detail::unit& u, placed_unit& made) {
    const nn::node& n = state_.nodes()[at(u.norm)];
    const index_t channels = made.main.how == extent::channel ? 1 : n.in.channels;
    const index_t sums =
        made.main.sums >= 0 ? 0 : sum_bytes(channels, tiles_of(state_.rows(u.norm)));
    const index_t responses = channels * response_planes * static_cast<index_t>(sizeof(T));
    made.sums = sums > 0 ? memory_.take(sums) : made.main.sums;
    made.responses = memory_.take(responses);
    if (sums > 0) memory_.give_back(made.sums, sums);
    memory_.give_back(made.responses, responses);
  }

  void place_scores(const nn::node& n, placed_unit& made) {
    const index_t bytes =
        state_.samples * attention_of(n).scores() * static_cast<index_t>(sizeof(T));
    made.scores = memory_.take(bytes);
    memory_.give_back(made.scores, bytes);
  }

  void release(index_t id) {
    placed& p = known_[at(id)];
    memory_.give_back(p.place, p.bytes);
    if (p.sums >= 0) memory_.give_back(p.sums, p.sums_bytes);
    p = {};
  }

  static index_t sum_bytes(index_t channels, index_t tiles) {
    return channels * 2 * tiles * static_cast<index_t>(sizeof(T));
  }

  const network_state<T>& state_;
  std::vector<placed> known_;  // by node
  places memory_;
};

}  // namespace

template <class T>
const layout& network_state<T>::layout_from(index_t id) {
  const auto found = layouts.find(id);
  if (found != layouts.end()) return found->second;
  return layouts.emplace(id, layout_maker<T>(*this).from(id)).first->second;
}

template const layout& network_state<float>::layout_from(index_t);
template const layout& network_state<double>::layout_from(index_t);

}  // namespace zo::cuda::detail

// Softmax attention. Scores are bilinear in queries and keys, outputs in probabilities and values:
//   d(q k) = dq (k + dk) + q dk,   d(p v) = dp (v + dv) + p dv,
// and dp has the form of zo/nn/layer/attention.hpp, so that nothing large is subtracted.
#include "zo/nn/layer/attention.hpp"

#include <algorithm>
#include <cmath>

#include "nn/layer/list.hpp"
#include "nn/loop_by_place.hpp"

namespace zo::nn {

using zo::detail::require;

index_t network::attention(index_t from, const attention_options& options) {
  const shape in = at(from, "attention").out;
  require(options.heads >= 1, "zo::nn::network: attention: heads must be at least 1, got ",
          options.heads);
  require(in.channels % (3 * options.heads) == 0, "zo::nn::network: attention: ", text_of(in),
          " are not queries, keys and values of ", options.heads,
          " heads: channels must be a multiple of ", 3 * options.heads);
  node n;
  n.what = operation::attention;
  n.first = from;
  n.in = in;
  n.heads = options.heads;
  n.causal = options.causal;
  n.out = {in.channels / 3, in.height, in.width};
  // Scores and sums of values.
  n.multiplications = detail::product_of({2, in.area(), in.area(), n.out.channels});
  count(n);
  return append(std::move(n));
}

namespace detail {

namespace {

// A value of 3 d channels of one group, [position][channel][lane]: queries, keys and values of one
// head.
template <class T>
struct head_view {
  const T* data;
  index_t all, width, head, size;  // channels of the value, of each kind, of a head

  const T* at(int kind, index_t position) const {
    return data + (position * all + kind * width + head * size) * lanes;
  }
};

template <class T>
class attention final : public copied_layer<T, attention<T>> {
 public:
  attention(const network& net, const plan& how, const unit& of)
      : copied_layer<T, attention<T>>(net, how, of) {}

  void run(batch<T>& of, const pass_call<T>& call) override {
    const index_t area = node_.in.area(), heads = node_.heads;
    log_p_.resize(static_cast<std::size_t>(groups_of(of.samples) * heads * area * area * lanes));
    loop_by_place(call.threads, groups_of(of.samples) * heads, [&](index_t item) {
      const index_t g = item / heads;
      const auto x = head_of(std::as_const(of).data(node_.first), g, item % heads);
      lane_vector<T> p(static_cast<std::size_t>(area * lanes));
      for (index_t i = 0; i < area; ++i) {
        find_probabilities(x, i, p.data(), log_p_.data() + (item * area + i) * area * lanes);
        T* const out = out_of(of.data(unit_.last), g, i, item % heads);
        std::fill_n(out, x.size * lanes, T(0));
        for (index_t j = 0; j < seen(i); ++j) {
          add_products(x.size, p.data() + j * lanes, x.at(2, j), out);
        }
      }
    });
  }

  void follow(const question<T>& q) const override {
    const index_t area = node_.in.area(), size = node_.in.size() * lanes;
    for (index_t g = 0; g < q.groups(); ++g) {
      q.scratch->begin(scratch_bytes());
      const work memory{q.scratch->template take<T>(area * lanes),
                        q.scratch->template take<T>(area * lanes),
                        q.scratch->template take<T>(node_.out.channels / node_.heads * lanes)};
      const T* d = q.main.data + g * size;
      if (q.main.how == extent::channel) {
        T* const wide = q.scratch->template take<T>(size);
        widen(node_.in, 1, {extent::channel, q.main.channel, q.main.data + g * area * lanes}, wide);
        d = wide;
      }
      for (index_t h = 0; h < node_.heads; ++h) {
        for (index_t i = 0; i < area; ++i) follow_position(q, d, {g, h, i}, memory);
      }
    }
  }

  index_t bytes(index_t count, std::optional<products> /*differences*/) const override {
    const index_t area = node_.in.area();
    return product_of(
        {groups_of(count), node_.heads, area, area, lanes, static_cast<index_t>(sizeof(T))});
  }
  index_t scratch_bytes() const override {
    return 2 * scratch_memory::size_of<T>(node_.in.area() * lanes) +
           scratch_memory::size_of<T>(node_.out.channels / node_.heads * lanes) +
           scratch_memory::size_of<T>(node_.in.size() * lanes);
  }

 private:
  using copied_layer<T, attention<T>>::node_;
  using copied_layer<T, attention<T>>::unit_;

  struct place {
    index_t group, head, position;
  };

  // Of one position: probabilities, changes of them, a key or value that has moved.
  struct work {
    T *p, *changes, *moved;
  };

  // Positions that position i attends to.
  index_t seen(index_t i) const { return node_.causal ? i + 1 : node_.in.area(); }

  head_view<T> head_of(const T* value, index_t group, index_t head) const {
    return {value + group * node_.in.size() * lanes, node_.in.channels, node_.out.channels, head,
            node_.out.channels / node_.heads};
  }
  T* out_of(T* value, index_t group, index_t position, index_t head) const {
    const index_t size = node_.out.channels / node_.heads;
    return value + (group * node_.out.size() + position * node_.out.channels + head * size) * lanes;
  }

  T scale() const {
    return static_cast<T>(1 / std::sqrt(static_cast<double>(node_.out.channels / node_.heads)));
  }

  // out += factor x, number by number, a factor for each sample.
  static void add_products(index_t channels, const T* factor, const T* x, T* out) {
    for (index_t c = 0; c < channels; ++c) {
      for (index_t k = 0; k < lanes; ++k) out[c * lanes + k] += factor[k] * x[c * lanes + k];
    }
  }
  // to += a b over the channels, for each sample.
  static void add_inner(index_t channels, const T* a, const T* b, T* to) {
    for (index_t c = 0; c < channels; ++c) {
      for (index_t k = 0; k < lanes; ++k) to[k] += a[c * lanes + k] * b[c * lanes + k];
    }
  }

  void find_probabilities(const head_view<T>& x, index_t i, T* p, T* log_p) const {
    const T by = scale();
    std::fill_n(p, seen(i) * lanes, T(0));
    for (index_t j = 0; j < seen(i); ++j) {
      add_inner(x.size, x.at(0, i), x.at(1, j), p + j * lanes);
      for (index_t k = 0; k < lanes; ++k) p[j * lanes + k] *= by;
    }
    for (index_t k = 0; k < lanes; ++k) {
      std::vector<double> scores;
      for (index_t j = 0; j < seen(i); ++j) {
        scores.push_back(static_cast<double>(p[j * lanes + k]));
      }
      softmax_of(
          seen(i), [&](index_t j) { return scores[static_cast<std::size_t>(j)]; },
          [&](index_t j, double value, double logarithm) {
            p[j * lanes + k] = static_cast<T>(value);
            log_p[j * lanes + k] = static_cast<T>(logarithm);
          });
    }
  }

  // `changes` become differences of scores, then of probabilities; p the probabilities.
  void find_changes(const head_view<T>& x, const head_view<T>& d, const T* log_p, index_t i,
                    const work& memory) const {
    const T by = scale();
    T* const changes = memory.changes;
    std::fill_n(changes, seen(i) * lanes, T(0));
    for (index_t j = 0; j < seen(i); ++j) {
      const T *key = x.at(1, j), *by_key = d.at(1, j);
      for (index_t n = 0; n < x.size * lanes; ++n) memory.moved[n] = key[n] + by_key[n];
      T* const to = changes + j * lanes;
      add_inner(x.size, d.at(0, i), memory.moved, to);
      add_inner(x.size, x.at(0, i), by_key, to);
      for (index_t k = 0; k < lanes; ++k) to[k] *= by;
    }
    for (index_t k = 0; k < lanes; ++k) {
      const auto of = [k](const T* from) {
        return [from, k](index_t j) { return static_cast<double>(from[j * lanes + k]); };
      };
      const double growth = softmax_growth(seen(i), of(log_p), of(changes));
      for (index_t j = 0; j < seen(i); ++j) {
        const double logarithm = of(log_p)(j), change = of(changes)(j) - growth;
        memory.p[j * lanes + k] = static_cast<T>(std::exp(logarithm));
        changes[j * lanes + k] = static_cast<T>(weight_difference(logarithm, change));
      }
    }
  }

  void follow_position(const question<T>& q, const T* d_of_group, const place& at,
                       const work& memory) const {
    const index_t area = node_.in.area();
    const auto x = head_of(q.base.data(node_.first), at.group, at.head);
    const auto d = head_of(d_of_group, 0, at.head);
    const index_t row = (at.group * node_.heads + at.head) * area + at.position;
    find_changes(x, d, log_p_.data() + row * area * lanes, at.position, memory);
    T* const out = out_of(q.out.data, at.group, at.position, at.head);
    std::fill_n(out, x.size * lanes, T(0));
    for (index_t j = 0; j < seen(at.position); ++j) {
      const T *value = x.at(2, j), *by_value = d.at(2, j);
      for (index_t n = 0; n < x.size * lanes; ++n) memory.moved[n] = value[n] + by_value[n];
      add_products(x.size, memory.changes + j * lanes, memory.moved, out);
      add_products(x.size, memory.p + j * lanes, by_value, out);
    }
  }

  lane_vector<T> log_p_;  // [group][head][position][position attended to][lane]
};

}  // namespace

template <>
template <class T>
std::unique_ptr<layer<T>> maker<operation::attention>::make(const network& net, const plan& how,
                                                            const unit& of) {
  return std::make_unique<attention<T>>(net, how, of);
}
template std::unique_ptr<layer<float>> maker<operation::attention>::make(const network&,
                                                                         const plan&, const unit&);
template std::unique_ptr<layer<double>> maker<operation::attention>::make(const network&,
                                                                          const plan&, const unit&);

}  // namespace detail
}  // namespace zo::nn

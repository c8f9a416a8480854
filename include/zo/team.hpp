// Other processes that make the same estimate side by side: each asks its share, all take all
// answers. What a policy of zo/mpi.hpp carries; the core knows no more of it than this.
#pragma once

#include <cxxabi.h>
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <queue>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/execution.hpp"

namespace zo::detail {

// 64 bits that differ where what was added differs, but for chance. No cryptography.
class fingerprint {
 public:
  template <class Value>
  requires std::is_arithmetic_v<Value> || std::is_enum_v<Value> fingerprint& add(Value value) {
    std::uint64_t word = 0;
    std::memcpy(&word, &value, sizeof value);
    mix(word);
    return *this;
  }

  fingerprint& add(std::string_view text) { return add(std::span(text.data(), text.size())); }

  template <class T>
  fingerprint& add(std::span<const T> values) {
    static_assert(std::is_arithmetic_v<T>);
    add(values.size());
    constexpr std::size_t at_once = sizeof(std::uint64_t) / sizeof(T);
    std::size_t i = 0;
    for (; i + at_once <= values.size(); i += at_once) {
      std::uint64_t word = 0;
      std::memcpy(&word, values.data() + i, sizeof word);
      mix(word);
    }
    if constexpr (at_once > 1) {
      for (; i < values.size(); ++i) add(values[i]);
    }
    return *this;
  }

  std::uint64_t value() const { return value_; }

 private:
  void mix(std::uint64_t word) {
    value_ = (value_ ^ word) * 0x9E3779B97F4A7C15;
    value_ ^= value_ >> 32;
  }

  std::uint64_t value_ = 0x5A4F;
};

// One call that all processes must make alike.
struct joint_call {
  std::uint64_t step = 0;
  std::uint64_t arguments = 0;           // fingerprint of all but step and point
  std::function<std::uint64_t()> point;  // fingerprint of x, made only when it is to be compared
};

class team {
 public:
  team() = default;
  team(const team&) = delete;
  team& operator=(const team&) = delete;
  virtual ~team() = default;

  virtual int rank() const = 0;
  virtual int ranks() const = 0;

  // Throws, everywhere, unless all processes make the same call at the same point.
  virtual void agree(const joint_call& call) = 0;

  // The answers of rank r are values[ends[r - 1]] … values[ends[r] - 1]: sends this process's, and
  // receives the others'. A process that failed says so by `thrown` instead; then all throw.
  virtual void exchange(std::span<double> values, std::span<const index_t> ends,
                        const std::exception_ptr& thrown) = 0;

  // Throws, everywhere, unless all processes have the same bits of what they call f(x), all of them
  // having asked it. `thrown` as above.
  virtual void compare(double value, std::uint64_t step, const std::exception_ptr& thrown) = 0;
};

template <class P>
concept team_policy = execution_policy<P> && requires(const P& policy) {
  { policy.team() } -> std::same_as<team&>;
};

template <class Policy>
index_t ranks_of(const Policy& policy) {
  if constexpr (team_policy<Policy>) return policy.team().ranks();
  return 1;
}

// Ends of equal shares of `items` in the order of ranks.
inline std::vector<index_t> even_shares(index_t items, int ranks) {
  std::vector<index_t> ends(static_cast<std::size_t>(ranks));
  for (int r = 0; r < ranks; ++r) {
    ends[static_cast<std::size_t>(r)] = items / ranks * (r + 1) + items % ranks * (r + 1) / ranks;
  }
  return ends;
}

// What one rank has of some items.
struct share_range {
  index_t first = 0;
  index_t end = 0;
  index_t count() const { return end - first; }
};

inline share_range share_of(std::span<const index_t> ends, int rank) {
  const auto r = static_cast<std::size_t>(rank);
  return {r == 0 ? 0 : ends[r - 1], ends[r]};
}

// Items dealt to ranks by their cost.
struct dealt_items {
  std::vector<index_t> order;  // items of rank 0, then those of rank 1, …; ascending in each
  std::vector<index_t> ends;   // of the ranks, in `order`
};

// Each item, in their order, goes to the rank with the least cost so far, the lowest of equals. So
// shares differ by less than one item, and each has items of every kind: an error of the costs
// that is common to a kind cancels.
template <class Cost>
dealt_items deal(index_t items, int ranks, const Cost& cost) {
  using load = std::pair<double, int>;
  std::priority_queue<load, std::vector<load>, std::greater<>> least;
  for (int r = 0; r < ranks; ++r) least.push({0.0, r});
  std::vector<int> owner(static_cast<std::size_t>(items));
  dealt_items dealt{std::vector<index_t>(static_cast<std::size_t>(items)),
                    std::vector<index_t>(static_cast<std::size_t>(ranks))};
  for (index_t k = 0; k < items; ++k) {
    auto [sum, rank] = least.top();
    least.pop();
    least.push({sum + cost(k), rank});
    owner[static_cast<std::size_t>(k)] = rank;
    ++dealt.ends[static_cast<std::size_t>(rank)];
  }
  for (std::size_t r = 1; r < dealt.ends.size(); ++r) dealt.ends[r] += dealt.ends[r - 1];
  std::vector<index_t> next(dealt.ends.size());
  for (int r = 0; r < ranks; ++r) next[static_cast<std::size_t>(r)] = share_of(dealt.ends, r).first;
  for (index_t k = 0; k < items; ++k) {
    const auto rank = static_cast<std::size_t>(owner[static_cast<std::size_t>(k)]);
    dealt.order[static_cast<std::size_t>(next[rank]++)] = k;
  }
  return dealt;
}

// The exception that `call` leaves with, or none. The end of a cancelled thread is no exception.
template <class Call>
std::exception_ptr caught(const Call& call) {
  try {
    call();
#if defined(__GLIBCXX__)
  } catch (const abi::__forced_unwind&) {
    throw;
#endif
  } catch (...) {
    return std::current_exception();
  }
  return {};
}

// Runs ask(first, answers) on this process's share of the answers, and takes the others'. Shares
// end at multiples of `piece`.
template <class Ask>
void ask_share(team& others, std::span<double> answers, const Ask& ask, index_t piece = 1) {
  const auto items = static_cast<index_t>(answers.size());
  std::vector<index_t> ends =
      even_shares(items / piece + (items % piece > 0 ? 1 : 0), others.ranks());
  for (index_t& end : ends) end = std::min(items, end * piece);
  const share_range mine = share_of(ends, others.rank());
  const std::exception_ptr thrown = caught([&] {
    if (mine.count() == 0) return;
    ask(mine.first, answers.subspan(static_cast<std::size_t>(mine.first),
                                    static_cast<std::size_t>(mine.count())));
  });
  others.exchange(answers, ends, thrown);
}

}  // namespace zo::detail

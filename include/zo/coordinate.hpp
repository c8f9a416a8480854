// Which coordinates a coordinate-wise estimate asks: all, a list, a mask, or a random subset.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <ranges>
#include <utility>
#include <variant>
#include <vector>

#include "zo/config.hpp"
#include "zo/error.hpp"
#include "zo/random.hpp"

namespace zo {

struct all_coordinates {};

/// These coordinates, each once. The gradient is zero elsewhere; nothing is rescaled.
struct coordinate_list {
  std::vector<index_t> coordinates;
};

/// The coordinates where the mask (one entry a coordinate) is true. Nothing is rescaled.
struct coordinate_mask {
  std::vector<bool> mask;
};

/// `count` different coordinates, drawn anew at every step, and the estimate multiplied by d /
/// count: its mean over the draws is the full estimate.
struct random_coordinates {
  index_t count = 1;
};

using coordinate_selection =
    std::variant<all_coordinates, coordinate_list, coordinate_mask, random_coordinates>;

namespace detail {

// Uniform integers below a bound from a stream, without bias (Lemire 2019, with rejection).
class bounded_integers {
 public:
  explicit bounded_integers(const stream& from) : from_(from) {}

  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t threshold = (0 - bound) % bound;
    for (;;) {
      const product_type product = static_cast<product_type>(next()) * bound;
      if (static_cast<std::uint64_t>(product) >= threshold) {
        return static_cast<std::uint64_t>(product >> 64);
      }
    }
  }

 private:
  __extension__ typedef unsigned __int128 product_type;  // no ISO C++: said so under -Wpedantic

  std::uint64_t next() {
    const words4<std::uint32_t> word = from_.words(static_cast<std::uint32_t>(drawn_ / 2));
    const bool upper = drawn_++ % 2 == 1;
    return upper ? (std::uint64_t{word.w3} << 32 | word.w2)
                 : (std::uint64_t{word.w1} << 32 | word.w0);
  }

  stream from_;
  std::uint64_t drawn_ = 0;
};

// A set of numbers of at most a given size, in one allocation (open addressing).
class index_set {
 public:
  explicit index_set(index_t size)
      : slots_(std::bit_ceil(2 * static_cast<std::size_t>(size)), -1) {}

  // False if `value` (at least 0) is in the set already.
  bool insert(index_t value) {
    constexpr std::uint64_t golden = 0x9E3779B97F4A7C15;
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = (static_cast<std::uint64_t>(value) * golden >> 32) & mask;
    for (; slots_[at] != -1; at = (at + 1) & mask) {
      if (slots_[at] == value) return false;
    }
    slots_[at] = value;
    return true;
  }

 private:
  std::vector<index_t> slots_;
};

}  // namespace detail

/// `count` different integers below `dimension`, ascending, every set of them equally likely: a
/// function of `from` alone, on every machine. Throws std::invalid_argument unless
/// 0 <= count <= dimension and count <= 2^32. Time and memory: O(count). Source: Floyd's sampling
/// (Bentley and Floyd, CACM 1987).
inline std::vector<index_t> random_subset(index_t dimension, index_t count, const stream& from) {
  detail::require(count >= 0 && count <= dimension, "zo::random_subset: cannot draw ", count,
                  " different numbers of ", dimension);
  detail::require(count <= index_t{1} << 32,
                  "zo::random_subset: at most 2^32 numbers can be drawn, got ", count);
  detail::bounded_integers random(from);
  detail::index_set chosen(count);
  std::vector<index_t> sorted;
  sorted.reserve(static_cast<std::size_t>(count));
  for (index_t last = dimension - count; last < dimension; ++last) {
    const auto drawn = static_cast<index_t>(random.below(static_cast<std::uint64_t>(last) + 1));
    sorted.push_back(chosen.insert(drawn) ? drawn : last);
    if (sorted.back() == last) chosen.insert(last);
  }
  std::ranges::sort(sorted);
  return sorted;
}

/// Puts `items` into a random order, every order equally likely: a function of `from` and of how
/// many there are, on every machine. Source: Fisher and Yates; Durstenfeld, CACM 1964.
template <std::ranges::random_access_range Items>
void shuffle(Items& items, const stream& from) {
  detail::bounded_integers random(from);
  for (std::size_t last = std::ranges::size(items); last > 1; --last) {
    std::swap(items[last - 1], items[random.below(last)]);
  }
}

namespace detail {

/// The coordinates of one estimate. For "all" no list is kept.
struct chosen_coordinates {
  bool all = true;
  index_t dimension = 0;
  std::vector<index_t> list;
  double scale = 1.0;

  index_t count() const { return all ? dimension : static_cast<index_t>(list.size()); }
  index_t operator[](index_t k) const { return all ? k : list[static_cast<std::size_t>(k)]; }
};

inline void check_list(const std::vector<index_t>& list, index_t dimension) {
  std::vector<index_t> sorted = list;
  std::ranges::sort(sorted);
  for (std::size_t k = 0; k < sorted.size(); ++k) {
    require(sorted[k] >= 0 && sorted[k] < dimension, "zo::cge: coordinate ", sorted[k],
            " is not in 0 … ", dimension - 1);
    require(k == 0 || sorted[k] != sorted[k - 1], "zo::cge: coordinate ", sorted[k],
            " is listed twice; list each coordinate once");
  }
}

// Throws where the selection does not fit the dimension.
inline index_t selected_count(const coordinate_selection& selection, index_t dimension) {
  index_t count = dimension;
  if (const auto* list = std::get_if<coordinate_list>(&selection)) {
    count = static_cast<index_t>(list->coordinates.size());
    check_list(list->coordinates, dimension);
  } else if (const auto* mask = std::get_if<coordinate_mask>(&selection)) {
    require(static_cast<index_t>(mask->mask.size()) == dimension,
            "zo::cge: the mask must have one entry a coordinate, got ", mask->mask.size(), " for ",
            dimension, " coordinates");
    count = static_cast<index_t>(std::ranges::count(mask->mask, true));
  } else if (const auto* random = std::get_if<random_coordinates>(&selection)) {
    count = random->count;
    require(count <= dimension, "zo::cge: cannot draw ", count, " different coordinates of ",
            dimension);
  }
  require(count >= 1, "zo::cge: at least 1 coordinate must be selected, got ", count);
  return count;
}

inline chosen_coordinates choose_coordinates(const coordinate_selection& selection,
                                             index_t dimension, std::uint64_t seed,
                                             std::uint64_t step) {
  chosen_coordinates chosen{true, dimension, {}, 1.0};
  const index_t count = selected_count(selection, dimension);
  if (const auto* list = std::get_if<coordinate_list>(&selection)) {
    chosen.all = false;
    chosen.list = list->coordinates;
  } else if (const auto* mask = std::get_if<coordinate_mask>(&selection)) {
    chosen.all = false;
    for (index_t i = 0; i < dimension; ++i) {
      if (mask->mask[static_cast<std::size_t>(i)]) chosen.list.push_back(i);
    }
  } else if (std::holds_alternative<random_coordinates>(selection)) {
    chosen.all = false;
    chosen.list = random_subset(dimension, count, {seed, step, 0, purpose::coordinates});
    chosen.scale = static_cast<double>(dimension) / static_cast<double>(count);
  }
  return chosen;
}

}  // namespace detail
}  // namespace zo

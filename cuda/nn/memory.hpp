// Places in a buffer.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>

#include "zo/config.hpp"

namespace zo::cuda::detail {

constexpr index_t alignment = 256;  // of everything in a buffer, in bytes
constexpr index_t aligned(index_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

// Places in a piece of memory, given out and taken back while a path is laid out.
class places {
 public:
  index_t take(index_t bytes) {
    bytes = aligned(bytes);
    const auto fits = std::ranges::find_if(free_, [&](const auto& f) { return f.second >= bytes; });
    index_t from = end_;
    if (fits != free_.end()) {
      from = fits->first;
      const index_t left = fits->second - bytes;
      free_.erase(fits);
      if (left > 0) free_[from + bytes] = left;
    } else if (!free_.empty() && free_.rbegin()->first + free_.rbegin()->second == end_) {
      from = free_.rbegin()->first;  // the last free place grows
      free_.erase(from);
    }
    end_ = std::max(end_, from + bytes);
    return from;
  }
  void give_back(index_t from, index_t bytes) {
    auto place = free_.emplace(from, aligned(bytes)).first;
    const auto join = [&](auto low, auto high) {
      if (low->first + low->second != high->first) return low;
      low->second += high->second;
      free_.erase(high);
      return low;
    };
    if (std::next(place) != free_.end()) join(place, std::next(place));
    if (place != free_.begin()) join(std::prev(place), place);
  }
  index_t bytes() const { return end_; }

 private:
  std::map<index_t, index_t> free_;
  index_t end_ = 0;
};

}  // namespace zo::cuda::detail

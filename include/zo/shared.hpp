// A machine alone, or one of a team of processes: every "is there a team?" of the library is here.
// Machines ask through these functions; a null team is none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "zo/config.hpp"
#include "zo/outcome.hpp"
#include "zo/team.hpp"

namespace zo::detail {

// The team of a policy of the host, or none.
template <class Policy>
team* team_of(const Policy& policy) {
  if constexpr (team_policy<Policy>) return &policy.team();
  return nullptr;
}

inline index_t ranks_of(team* others) { return others == nullptr ? 1 : others->ranks(); }

// A type in words, also in a program without type information: those of one compiler.
template <class T>
constexpr std::string_view type_name() {
  return __PRETTY_FUNCTION__;
}

// What identifies an estimator beside its type: how.describe(print), where it has that.
template <class How>
void describe(const How& how, fingerprint& print) {
  print.add(type_name<How>());
  if constexpr (requires { how.describe(print); }) how.describe(print);
}

// Throws unless all processes make the same estimate, of rows of `numbers` scalars T in all, by
// what `identify` adds to the fingerprint; `point` makes the fingerprint of x.
template <class T, class Identify>
void agree_on_estimate(team* others, index_t numbers, index_t rows, const Identify& identify,
                       const estimate_options& options, std::function<std::uint64_t()> point) {
  if (others == nullptr) return;
  fingerprint print;
  print.add(sizeof(T)).add(numbers).add(rows).add(options.seed);
  print.add(options.sample.value_or(options.step)).add(options.known_values);
  identify(print);
  others->agree({options.step, print.value(), std::move(point)});
}

// ask(first, answers) on all of the answers, or on this process's share of them.
template <class Ask>
void ask_all(team* others, std::span<double> answers, const Ask& ask) {
  if (others == nullptr) {
    ask(index_t{0}, answers);
  } else {
    ask_share(*others, answers, ask);
  }
}

// The sum of what every process has.
inline index_t sum_of_all(team* others, index_t mine) {
  if (others == nullptr) return mine;
  std::vector<double> all(static_cast<std::size_t>(others->ranks()));
  all[static_cast<std::size_t>(others->rank())] = static_cast<double>(mine);
  others->exchange(all, even_shares(others->ranks(), others->ranks()), {});
  index_t sum = 0;
  for (const double one : all) sum += static_cast<index_t>(one);
  return sum;
}

// value() in every process, which must all have the same.
template <class Value>
double ask_everywhere(team* others, std::uint64_t step, const Value& value) {
  if (others == nullptr) return value();
  double mine = 0;
  const std::exception_ptr thrown = caught([&] { mine = value(); });
  others->compare(mine, step, thrown);
  return mine;
}

// Probes of coordinates, of which each process asks a share of equal cost: probe(coordinates,
// steps, differences) returns the queries it made. Returns those of all.
template <class T, class Cost, class Probe>
index_t probe_all(team* others, std::span<const index_t> coordinates, std::span<const T> steps,
                  std::span<double> differences, const Cost& cost, const Probe& probe) {
  if (others == nullptr) return probe(coordinates, steps, differences);
  const auto probes = static_cast<index_t>(coordinates.size());
  const dealt_items dealt = deal(probes, others->ranks(), [&](index_t k) {
    return cost(coordinates[static_cast<std::size_t>(k)]);
  });
  const share_range mine = share_of(dealt.ends, others->rank());
  std::vector<index_t> my_coordinates;
  std::vector<T> my_steps;
  for (index_t at = mine.first; at < mine.end; ++at) {
    const auto k = static_cast<std::size_t>(dealt.order[static_cast<std::size_t>(at)]);
    my_coordinates.push_back(coordinates[k]);
    my_steps.push_back(steps[k]);
  }
  // The answers, and behind those of each rank the queries it made.
  std::vector<double> answers(differences.size() + static_cast<std::size_t>(others->ranks()));
  std::vector<index_t> ends = dealt.ends;
  for (std::size_t r = 0; r < ends.size(); ++r) ends[r] += static_cast<index_t>(r) + 1;
  const share_range place = share_of(ends, others->rank());
  const std::exception_ptr thrown = caught([&] {
    const std::span<double> own = std::span(answers).subspan(
        static_cast<std::size_t>(place.first), static_cast<std::size_t>(mine.count()));
    const index_t made = mine.count() == 0 ? 0 : probe(my_coordinates, my_steps, own);
    answers[static_cast<std::size_t>(place.end - 1)] = static_cast<double>(made);
  });
  others->exchange(answers, ends, thrown);
  index_t made = 0;
  std::size_t at = 0;
  for (int r = 0; r < others->ranks(); ++r) {
    for (index_t k = share_of(dealt.ends, r).count(); k > 0; --k, ++at) {
      differences[static_cast<std::size_t>(dealt.order[at])] =
          answers[at + static_cast<std::size_t>(r)];
    }
    made += static_cast<index_t>(answers[at + static_cast<std::size_t>(r)]);
  }
  return made;
}

// Whether any process says so.
template <class Say>
bool any_says(team* others, const Say& say) {
  if (others == nullptr) return say();
  std::vector<double> said(static_cast<std::size_t>(others->ranks()));
  const std::exception_ptr thrown =
      caught([&] { said[static_cast<std::size_t>(others->rank())] = say() ? 1 : 0; });
  others->exchange(said, even_shares(others->ranks(), others->ranks()), thrown);
  return std::ranges::any_of(said, [](double one) { return one > 0; });
}

}  // namespace zo::detail

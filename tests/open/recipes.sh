#!/bin/sh
# Follows "Where a line belongs" of docs/design.md: adds a law, an estimator and a rule to a copy of the
# sources, in the files named there and no others, builds the core and runs a program that uses them.
set -eu
source=$1 work=$2 compiler=$3
rm -rf "$work"
mkdir -p "$work"
cp -r "$source/include" "$source/src" "$work"
cd "$work"

# Every file that the recipes name exists.
sed -n '/^## Where a line belongs/,/^Laws, estimators/p' "$source/docs/design.md" |
  grep -o '`[^`]*`' | tr -d '`' | grep '^\(include\|src\|cuda\|tests\|examples\)/' | grep -v '<' |
  while read -r file; do
    [ -e "$source/$file" ] || { echo "docs/design.md names $file, which is not there" >&2; exit 1; }
  done

# A law: its file, its include and its place in the list, its SIMD form and that one's include.
cat > include/zo/law/cube.hpp <<'EOF'
#pragma once
#include <cstdint>
#include "zo/config.hpp"
#include "zo/random.hpp"
namespace zo {
/// Uniform on the cube from -root(3) to root(3).
struct cube {
  using law = cube;
  static constexpr bool unit_norm = false;
  static constexpr double scale(index_t) { return 1.0; }
  static constexpr int pieces = 1, values = 4;
  static constexpr bool continuous = true;
  static constexpr double largest = 1.7320509;
  template <class Visit>
  ZO_HD static void each(const words4<std::uint32_t>& words, int, Visit&& visit) {
    constexpr float unit = 1.7320508f * 0x1p-31f;
    visit(0, static_cast<float>(static_cast<std::int32_t>(words.w0)) * unit);
    visit(1, static_cast<float>(static_cast<std::int32_t>(words.w1)) * unit);
    visit(2, static_cast<float>(static_cast<std::int32_t>(words.w2)) * unit);
    visit(3, static_cast<float>(static_cast<std::int32_t>(words.w3)) * unit);
  }
};
}  // namespace zo
EOF
sed -i 's|#include "zo/law/gaussian.hpp"|#include "zo/law/cube.hpp"\n&|; s|law_list<gaussian, rademacher>|law_list<gaussian, rademacher, cube>|' include/zo/law.hpp
cat > src/law/cube.hpp <<'EOF'
#pragma once
#include "law/kernel.hpp"
namespace zo::detail {
namespace {
template <>
struct law_kernel<cube> {
  template <class T>
  static void sum(const stream& from, index_t directions, const T* weights, index_t group,
                  index_t count, const T* x, T* out) {
    for (index_t lane = 0; lane < lanes; lane += pack::lanes) {
      for (int v = 0; v < 4; ++v) {
        const index_t at = v * lanes + lane;
        row<T> sum = row<T>::load_first(x + at, count - at);
        for (index_t k = 0; k < directions; ++k) {
          const auto word = group_words(with_number(from, from.number + k), group * lanes + lane);
          const pack::u32 mine = v == 0 ? word.w0 : v == 1 ? word.w1 : v == 2 ? word.w2 : word.w3;
          sum = sum.fma(weights[k], float_from_signed(mine) * pack::f32(1.7320508f * 0x1p-31f));
        }
        sum.store_first(out + at, count - at);
      }
    }
  }
  static double squares(const stream&, index_t, index_t) { return 0; }  // no norm is asked for
};
}  // namespace
}  // namespace zo::detail
EOF
sed -i 's|#include "law/gaussian.hpp"|#include "law/cube.hpp"\n&|' src/direction_kernels.hpp

# An estimator: its file and its include. It is RGE with directions that come in pairs u, -u.
cat > include/zo/mirrored.hpp <<'EOF'
#pragma once
#include "zo/rge.hpp"
namespace zo {
class mirrored {
 public:
  static constexpr zo::asks asks = zo::asks::points;
  index_t queries(index_t d) const { return inner_.queries(d); }
  on_failure failures() const { return inner_.options().failures; }
  template <class M>
  auto start(M& machine) const {
    return inner_.start(machine);
  }
 private:
  rge<cube, central> inner_{{.directions = 4}};
};
}  // namespace zo
EOF
sed -i 's|#include "zo/minimize.hpp"|#include "zo/mirrored.hpp"\n&|' include/zo/zo.hpp

# A rule: its file, its include and its name in the list.
cat > include/zo/rule/halving.hpp <<'EOF'
#pragma once
#include <cstdint>
#include "zo/config.hpp"
namespace zo {
/// x -= rate g, and half the rate at the next step.
class halving {
 public:
  template <class T>
  struct element {
    T rate;
    T* x;
    ZO_HD bool operator()(index_t i, T g) const {
      x[i] -= rate * g;
      return __builtin_isfinite(x[i]);
    }
  };
  explicit halving(double rate) : rate_(rate) {}
  int state_vectors() const { return 0; }
  template <class T>
  element<T> at(std::uint64_t step, T* x, T* const*) const {
    return {static_cast<T>(rate_ / static_cast<double>(std::uint64_t{1} << (step % 32))), x};
  }
 private:
  double rate_;
};
}  // namespace zo
EOF
sed -i 's|#include "zo/rule/l1.hpp"|#include "zo/rule/halving.hpp"\n&|; s|rule_list<sgd,|rule_list<halving, sgd,|' include/zo/rule/list.hpp

# What is changed is what the recipes name.
changed=$(for part in include src; do diff -rq "$source/$part" "$part" || true; done |
  sed 's|^Only in \(.*\): |\1/|; s|^Files .* and \(.*\) differ$|\1|' | sort | tr '\n' ' ')
expected='include/zo/law.hpp include/zo/law/cube.hpp include/zo/mirrored.hpp include/zo/rule/halving.hpp include/zo/rule/list.hpp include/zo/zo.hpp src/direction_kernels.hpp src/law/cube.hpp '
[ "$changed" = "$expected" ] || { echo "changed: $changed" >&2; exit 1; }

cat > program.cpp <<'EOF'
#include <cstdio>
#include <vector>
#include <zo/zo.hpp>
int main() {
  static_assert(zo::detail::is_compiled<zo::cube>);
  static_assert(zo::detail::place_of<zo::halving::element<double>> >= 0);
  // The compiled kernel has the bits of the lane's.
  std::vector<double> x(5000, 1.0), by_kernel(5000), by_lane(5000);
  const double h = 0.25;
  zo::detail::perturb<zo::cube>({3, 4, 5}, 0, 5000, x.data(), h, by_kernel.data());
  const zo::detail::lane_sum<double, zo::cube> lane{{3, 4, 5}, 1, &h, 0, 5000, x.data(), by_lane.data()};
  for (zo::index_t item = 0; item < lane.items(); ++item) lane(item);
  if (by_kernel != by_lane) return 1;
  const auto f = [](std::span<const double> at) {
    double sum = 0;
    for (const double one : at) sum += one * one;
    return sum;
  };
  std::vector<double> y(20, 1.0);
  const auto run = zo::minimize(zo::seq, f, y, zo::mirrored(), zo::halving(0.1), {.max_queries = 400});
  std::printf("%g\n", run.value);
  return run.value < 20 ? 0 : 2;
}
EOF
objects=
for file in src/*.cpp; do
  case $file in *_avx* | *_neon*) continue ;; esac
  object=$(basename "$file" .cpp).o
  "$compiler" -std=c++20 -O0 -fopenmp -ffp-contract=off -Iinclude -Isrc -c "$file" -o "$object" &
  objects="$objects $object"
done
"$compiler" -std=c++20 -O0 -fopenmp -Iinclude -c program.cpp -o program.o
wait
"$compiler" -fopenmp program.o $objects -o program
./program

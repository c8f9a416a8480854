// zo_network_claims: measures every speed claim about networks on the CPU (docs/deepzero.md),
// prints a table, judges each bar. Before anything is timed its result is compared with the peer's,
// or with an estimate in double; a wrong one fails its row.
#include "claims.hpp"

#include "peers/torch_resnet.hpp"
#include "program.hpp"

namespace {

std::vector<bench::claim> all_claims() {
  std::vector<bench::claim> all;
  for (const auto& some :
       {bench::forward_claims(), bench::step_claims(), bench::mechanism_claims()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

bench::facts context() {
  bench::facts all = bench::context();
  all.emplace_back("peer", peers::torch_version());
  return all;
}

}  // namespace

int main(int count, char** values) {
  bench::program program{"zo_network_claims", all_claims, context};
  program.how.sample_seconds = 0.05;
  program.how.total_seconds = 3;
  return bench::judge(program, count, values);
}

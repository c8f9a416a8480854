// zo_claims: measures every speed claim of the docs, prints a table, judges each bar.
//
// To add a claim, add an entry to the list of the file it belongs to (generation_claims.cpp,
// overhead_claims.cpp, peer_claims.cpp, process_claims.cpp, service_claims.cpp, vector_claims.cpp,
// worker_claims.cpp),
// or a new such file and a line in all_claims().
#include "claims.hpp"

#include "program.hpp"

namespace {

std::vector<bench::claim> all_claims() {
  std::vector<bench::claim> all;
  for (const auto& some : {bench::generation_claims(), bench::overhead_claims(),
                           bench::peer_claims(), bench::process_claims(), bench::service_claims(),
                           bench::vector_claims(), bench::worker_claims()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace

int main(int count, char** values) {
  return bench::judge({"zo_claims", all_claims, bench::context}, count, values);
}

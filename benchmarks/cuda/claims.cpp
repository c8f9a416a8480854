// zo_cuda_claims: measures every claim about speed on a GPU, prints a table, judges each bar.
// Before anything is timed its result is compared with the CPU's; a wrong one fails its row.
//
// To add a claim, add an entry to the list of the file it belongs to, or a new such file and a line
// in all_claims(). Host code is plain C++ (.cpp); what has kernels of its own is compiled by nvcc.
#include "claims.hpp"

#include "gpu.hpp"
#include "program.hpp"

namespace {

std::vector<bench::claim> all_claims(const bench::torch_times& torch) {
  std::vector<bench::claim> all;
  for (const auto& some :
       {bench::ceiling_claims(), bench::candidate_claims(), bench::accumulation_claims(),
        bench::optimizer_claims(), bench::lazy_claims(torch), bench::mezo_claims(torch),
        bench::network_claims(), bench::step_claims(torch), bench::launch_claims()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace

int main(int count, char** values) {
  std::string torch_file;
  bench::program program{"zo_cuda_claims",
                         [&] { return all_claims(bench::torch_times(torch_file)); },
                         [] { return bench::the_gpu().context(); }};
  program.how.total_seconds = 0.5;  // a GPU has no other programs to wait for
  program.options = {
      {"--torch", "FILE", "what benchmarks/peers/torch_gpu.py wrote on this machine", &torch_file}};
  return bench::judge(program, count, values);
}

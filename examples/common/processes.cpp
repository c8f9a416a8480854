#include "common/processes.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <zo/direction.hpp>
#include <zo/interrupt.hpp>

#include "common/checkpoint.hpp"
#include "common/number.hpp"
#include "common/output.hpp"
#include "common/process.hpp"
#include "common/text.hpp"

namespace app {

namespace {

int number_of(const char* variable, int otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : whole_number<int>(text).value_or(otherwise);
}

const char* const no_memory =
    "there is not enough memory: give a smaller --batch, fewer --threads or a smaller network, or "
    "raise the limit (ulimit -v)";

// For people: the first line only, because LibTorch appends a stack trace to its messages; and what
// LibTorch says in its own way where memory or a GPU's memory ran out.
std::string sentence_of(const std::exception& error) {
  const std::string message = error.what();
  for (const char* words : {"can't allocate memory", "out of memory"}) {
    if (message.find(words) != std::string::npos) return no_memory;
  }
  return printable(message.substr(0, message.find('\n')));
}

// Those that started together fail together: the first speaks for all.
int fail_to_join(const std::string& name, const std::string& message) {
  if (detail::by_launcher().rank == 0) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), message.c_str());
  } else {
    // The launcher ends all processes as soon as one has failed.
    std::this_thread::sleep_for(std::chrono::seconds(2));
  }
  return 1;
}

}  // namespace

// Of a process that srun started only SLURM_STEP_NUM_TASKS tells: the other variables of Slurm are
// also those of a batch script, which is one process whatever they say.
detail::launched detail::by_launcher() {
  struct variables {
    const char* ranks;
    const char* rank;
  };
  constexpr std::array<variables, 3> known = {
      variables{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},  // Open MPI
      variables{"PMI_SIZE", "PMI_RANK"},                          // MPICH, Intel MPI
      variables{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}};         // srun
  for (const variables& names : known) {
    const int ranks = number_of(names.ranks, 1);
    if (ranks > 1) return {ranks, number_of(names.rank, 0)};
  }
  return {};
}

int run_program(const std::string& name, const std::function<void(processes&)>& body) {
  keep_standard_streams();
  survive_failed_writes();
  std::unique_ptr<processes> joined;
  try {
    joined = std::make_unique<processes>(processes::join());
  } catch (const std::exception& error) {
    return fail_to_join(name, sentence_of(error));
  }
  processes& all = *joined;
  try {
    const zo::interrupt_guard guard;
    keep_large_blocks();
    zo::instruction_set();  // throws where ZO_INSTRUCTION_SET names none
    try {
      body(all);
    } catch (const help_wanted& help) {
      if (all.speaks()) std::fputs(help.text.c_str(), stdout);
    }
    require_printed();
    return 0;
  } catch (const interrupted& stop) {
    if (all.speaks()) {
      std::fprintf(stderr, "\nStopped. Nothing is lost: the same command with --resume goes on.\n");
    }
    return 128 + stop.signal;
  } catch (const usage_error& error) {
    all.fail(name, printable(error.what()) + " (see --help)", 2);
  } catch (const std::bad_alloc&) {
    all.fail(name, no_memory, 1);
  } catch (const std::length_error&) {  // of a container larger than any memory
    all.fail(name, no_memory, 1);
  } catch (const std::exception& error) {
    all.fail(name, sentence_of(error), 1);
  }
}

double processes::sum(double mine) const {
  const std::vector<double> all = gather(mine);
  return std::accumulate(all.begin(), all.end(), 0.0);
}

int processes::stop_signal() const {
  return static_cast<int>(std::ranges::max(gather(zo::interrupt_guard::signal_number())));
}

void processes::require_same(std::span<const std::uint8_t> bytes, const std::string& what,
                             const std::string& advice) const {
  if (ranks() == 1) return;
  const auto mine = static_cast<double>(crc32_z(0, bytes.data(), bytes.size()));
  const std::vector<double> sums = gather(mine);
  for (std::size_t r = 1; r < sums.size(); ++r) {
    if (sums[r] == sums[0]) continue;
    throw std::runtime_error("rank " + std::to_string(r) + " has other " + what +
                             " than rank 0: " + advice);
  }
}

void require_same_settings(const processes& all, const std::string& text) {
  all.require_same({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, "settings",
                   "start all processes with the same arguments, and with the same data set in "
                   "--data");
}

std::optional<safetensors> load_checkpoint(const processes& all,
                                           const std::filesystem::path& path) {
  std::optional<safetensors> found;
  if (all.speaks() && std::filesystem::exists(std::filesystem::symlink_status(path))) {
    found = load_checkpoint(path);
  }
  if (all.ranks() == 1) return found;
  std::vector<std::uint8_t> file;  // no checkpoint is empty
  if (found) file = encode_checkpoint(*found);
  all.broadcast(file);
  if (file.empty()) return {};
  return parse_checkpoint(file, path.string());
}

table usage_table(const std::vector<rank_usage>& usage) {
  table rows({"rank", "seconds", "waiting", "MB received"});
  for (std::size_t r = 0; r < usage.size(); ++r) {
    const rank_usage& one = usage[r];
    const double share = one.seconds > 0 ? one.waiting_seconds / one.seconds : 0;
    rows.add({std::to_string(r), fixed(one.seconds, 1), fixed(100 * share, 1) + " %",
              fixed(1e-6 * static_cast<double>(one.bytes), 2)});
  }
  return rows;
}

}  // namespace app

// The processes of one run: those that mpirun or srun started, or this one alone. Programs are
// written for several; where zo::mpi is not built there is always one.
#pragma once

#include <zo/config.hpp>
#include <zo/execution.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>
#if defined(APP_HAS_MPI)
#include <zo/mpi.hpp>
#endif

#include "common/resume.hpp"
#include "common/safetensors.hpp"
#include "common/table.hpp"

namespace app {

/// Options that cannot be used: the program ends with a sentence and exit code 2.
struct usage_error : std::runtime_error {
  using runtime_error::runtime_error;
};

/// Thrown to print `text` on the standard output instead of doing anything.
struct help_wanted {
  std::string text;
};

/// What sharing cost one process.
struct rank_usage {
  double seconds = 0;
  double waiting_seconds = 0;  ///< those of waiting for others
  std::int64_t bytes = 0;      ///< received from others
};

/// All processes make the same calls of what is marked "collective", in the same order.
class processes {
 public:
  /// This process alone.
  processes();
  /// Joins the processes that a launcher started together with this one. Where it started one, or
  /// there was no launcher, MPI is not touched. Throws std::runtime_error with a sentence where
  /// there are others and this build cannot reach them.
  static processes join();
  processes(processes&&) noexcept;
  processes& operator=(processes&&) = delete;
  ~processes();

  int rank() const;
  int ranks() const;
  /// Whether this is the process that prints and writes files.
  bool speaks() const { return rank() == 0; }

  /// The cores that this process may use, those divided that others on this machine may use too; at
  /// least 1. Collective.
  int threads() const;

  /// What every process says, by rank. Collective.
  std::vector<double> gather(double mine) const;
  /// Of what each has counted. Exact for whole numbers below 2^53. Collective.
  double sum(double mine) const;
  /// The signal on which all should stop, or 0: whatever signal has reached any. Collective.
  int stop_signal() const;
  /// Throws std::runtime_error in all of them where one has other bytes than rank 0: "rank 1 has
  /// other <what> than rank 0: <advice>". Collective.
  void require_same(std::span<const std::uint8_t> bytes, const std::string& what,
                    const std::string& advice) const;

  /// Gives all what rank 0 has. Collective.
  void broadcast(std::vector<std::uint8_t>& bytes) const;

  /// Calls call(policy), in which one estimate is made: `inner`, or `inner` shared by all
  /// processes, for the same bits. Throws app::interrupted in all of them where the objective does
  /// in one. Collective.
  template <class Inner, class Call>
  auto estimate(const Inner& inner, const Call& call) const {
#if defined(APP_HAS_MPI)
    if (ranks() > 1) {
      try {
        return call(policy().with(inner));
      } catch (const zo::mpi::error&) {
        if (const int signal = stop_signal()) throw interrupted{signal};
        throw;
      }
    }
#endif
    return call(inner);
  }

  /// Shares other work: each process calls ask(first, mine), which fills `mine`, the answers from
  /// number `first` on, and gets those of the others. Pieces of `piece` answers are not divided.
  /// Collective.
  void share(std::span<double> answers, zo::index_t piece,
             const std::function<void(zo::index_t first, std::span<double> mine)>& ask) const;

  /// By rank; empty for a process alone. Collective.
  std::vector<rank_usage> usage() const;

  /// Ends all processes after an error that this one has, perhaps alone. Rank 0 speaks at once;
  /// another only if rank 0 does not in the meantime, and then says which it is.
  [[noreturn]] void fail(const std::string& program, const std::string& message, int code);

 private:
  struct link;
#if defined(APP_HAS_MPI)
  const zo::mpi::policy<zo::sequential_policy>& policy() const;
#endif

  std::unique_ptr<link> link_;  // none: alone
};

/// The body of main(): joins the processes, runs `body`, and turns what it throws into one sentence
/// on stderr and an exit code: 0 after help_wanted, 2 after a usage_error, 128 and the signal after
/// Ctrl-C, otherwise 1, also where the standard output could not be written.
int run_program(const std::string& name, const std::function<void(processes&)>& body);

/// require_same of settings, written as text. Collective.
void require_same_settings(const processes& all, const std::string& text);

/// load_checkpoint of a file that rank 0 sees; none where there is none. Collective.
std::optional<safetensors> load_checkpoint(const processes& all, const std::filesystem::path& path);

/// Seconds, waiting and traffic by rank, for people.
table usage_table(const std::vector<rank_usage>& usage);

namespace detail {

// What the launcher says in the environment of a process: how many it has started, and which of
// them this one is.
struct launched {
  int ranks = 1;
  int rank = 0;
};
launched by_launcher();

}  // namespace detail
}  // namespace app

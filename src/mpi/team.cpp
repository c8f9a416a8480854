// The messages of zo::mpi::over. Every wait polls, so that it can end.
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <thread>

#include "zo/mpi.hpp"

namespace zo::mpi::detail {
namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point start) {
  return std::chrono::duration<double>(clock::now() - start).count();
}

// The answer of a process that has failed: a NaN that no objective can give, because those that
// they give are replaced by the ordinary one.
constexpr std::uint64_t failed_bits = 0x7FF8'0000'007A'6F21;

std::uint64_t bits_of(double value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

double value_of(std::uint64_t bits) {
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

std::string what_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

void check(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  throw error(std::string("zo::mpi: ") + call +
              " failed: " + std::string(text.data(), static_cast<std::size_t>(length)));
}

void check_running(const char* who) {
  int begun = 0, ended = 0;
  MPI_Initialized(&begun);
  MPI_Finalized(&ended);
  zo::detail::require(begun != 0 && ended == 0, who,
                      ": MPI is not running; call it after MPI_Init and before MPI_Finalize");
}

class mpi_team final : public zo::detail::team {
 public:
  mpi_team(MPI_Comm comm, const over_options& options) : options_(options), begun_(clock::now()) {
    MPI_Comm_rank(comm, &rank_);
    MPI_Comm_size(comm, &ranks_);
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Comm_idup(comm, &comm_, &request), "MPI_Comm_idup");
    if (!wait(request, "MPI_Comm_idup")) {
      throw error(waited_in_vain() + "the other ranks to call zo::mpi::over, too");
    }
    check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }

  // Memory that an unfinished round may still write to stays, and so does a communicator that
  // others may not free with us.
  ~mpi_team() override {
    int ended = 0;
    MPI_Finalized(&ended);
    if (ended == 0 && !lost_ && std::uncaught_exceptions() == 0) MPI_Comm_free(&comm_);
    if (lost_) new std::vector<double>(std::move(values_));  // NOLINT: left behind on purpose
  }

  int rank() const override { return rank_; }
  int ranks() const override { return ranks_; }

  void agree(const zo::detail::joint_call& call) override {
    const bool compares = call.point && calls_++ % options_.compare_every == 0;
    const std::array<std::uint64_t, 3> mine{call.step, call.arguments, compares ? call.point() : 0};
    const std::uint64_t all =
        zo::detail::fingerprint().add(std::span<const std::uint64_t>(mine)).value();
    if (same(gather({&all, 1}), 1)) return;
    complain(gather(mine));
  }

  void exchange(std::span<double> values, std::span<const index_t> ends,
                const std::exception_ptr& thrown) override {
    zo::detail::require(values.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()),
                        "zo::mpi: ", values.size(),
                        " answers in one round are too many; use fewer rows at a time");
    counts_.resize(ends.size());
    offsets_.resize(ends.size());
    for (int r = 0; r < ranks_; ++r) {
      const zo::detail::share_range part = zo::detail::share_of(ends, r);
      offsets_[static_cast<std::size_t>(r)] = static_cast<int>(part.first);
      counts_[static_cast<std::size_t>(r)] = static_cast<int>(part.count());
    }
    const zo::detail::share_range mine = zo::detail::share_of(ends, rank_);
    values_.resize(std::max(values_.size(), values.size()));
    for (index_t j = mine.first; j < mine.end; ++j) {
      const double value = values[static_cast<std::size_t>(j)];
      values_[static_cast<std::size_t>(j)] = thrown                      ? value_of(failed_bits)
                                             : zo::detail::is_nan(value) ? zo::detail::failed_query
                                                                         : value;
    }
    run("MPI_Iallgatherv", [&](MPI_Request& request) {
      return MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DOUBLE, values_.data(), counts_.data(),
                             offsets_.data(), MPI_DOUBLE, comm_, &request);
    });
    bytes_ += 8 * (static_cast<index_t>(values.size()) - mine.count());
    std::copy_n(values_.begin(), values.size(), values.begin());
    for (int r = 0; r < ranks_; ++r) {
      const zo::detail::share_range part = zo::detail::share_of(ends, r);
      if (part.count() > 0 && bits_of(values[static_cast<std::size_t>(part.first)]) == failed_bits)
        fail_together(r, thrown);
    }
  }

  void compare(double value, std::uint64_t step, const std::exception_ptr& thrown) override {
    const std::vector<double> all = numbers_of(value, thrown);
    for (int r = 1; r < ranks_; ++r) {
      if (bits_of(all[static_cast<std::size_t>(r)]) == bits_of(all[0])) continue;
      throw error("zo::mpi: at step " + std::to_string(step) + " rank " + std::to_string(r) +
                  " has f(x) = " + zo::detail::number_text(all[static_cast<std::size_t>(r)]) +
                  ", rank 0 has " + zo::detail::number_text(all[0]) +
                  ": an objective that prepares must give all ranks the same number");
    }
  }

  // One number of each rank.
  std::vector<double> numbers_of(double mine, const std::exception_ptr& thrown) {
    std::vector<double> all(static_cast<std::size_t>(ranks_));
    all[static_cast<std::size_t>(rank_)] = mine;
    exchange(all, zo::detail::even_shares(ranks_, ranks_), thrown);
    return all;
  }

  std::vector<rank_usage> usage() {
    struct numbers {
      double seconds, waiting;
      std::int64_t exchanges, bytes;
    };
    const numbers mine{seconds_since(begun_), waited_, exchanges_, bytes_};
    std::array<std::uint64_t, 4> words{};
    static_assert(sizeof words == sizeof mine);
    std::memcpy(words.data(), &mine, sizeof mine);
    const std::vector<std::uint64_t> all = gather(words);
    std::vector<rank_usage> found;
    for (std::size_t at = 0; at < all.size(); at += words.size()) {
      numbers one{};
      std::memcpy(&one, all.data() + at, sizeof one);
      found.push_back({one.seconds, one.waiting, one.exchanges, one.bytes});
    }
    return found;
  }

  // In pieces that an int can count.
  void broadcast(void* data, std::size_t bytes) {
    constexpr std::size_t most = std::size_t{1} << 30;
    auto* at = static_cast<std::byte*>(data);
    for (; bytes > 0; at += std::min(most, bytes), bytes -= std::min(most, bytes)) {
      run("MPI_Ibcast", [&](MPI_Request& request) {
        return MPI_Ibcast(at, static_cast<int>(std::min(most, bytes)), MPI_BYTE, 0, comm_,
                          &request);
      });
    }
  }

 private:
  // Whether the request has ended in time. Polls busily at first, then leaves the core to others.
  bool wait(MPI_Request& request, const char* call) const {
    const auto from = clock::now();
    int done = 0;
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), call);
    for (index_t polls = 0; done == 0; ++polls) {
      if (polls < 1000) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        if (seconds_since(from) > options_.wait_seconds) return false;
      }
      check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), call);
    }
    return true;
  }

  template <class Start>
  void run(const char* call, const Start& start) {
    check_running("zo::mpi");
    if (lost_) throw error("zo::mpi: an earlier wait took too long; end the program by MPI_Abort");
    const auto from = clock::now();
    MPI_Request request = MPI_REQUEST_NULL;
    check(start(request), call);
    if (!wait(request, call)) lose();
    waited_ += seconds_since(from);
    ++exchanges_;
  }

  std::string waited_in_vain() const {
    return "zo::mpi: rank " + std::to_string(rank_) + " has waited " +
           zo::detail::number_text(options_.wait_seconds) + " seconds for ";
  }
  static constexpr const char* why_in_vain =
      "it is stuck or gone, or wait_seconds is too short for its share";

  // The waiting ranks tell rank 0, which can then say who is missing.
  [[noreturn]] void lose() {
    lost_ = true;
    constexpr int waits = 1;
    constexpr double collecting_seconds = 2;
    if (rank_ != 0) {
      static const char nothing = 0;
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Isend(&nothing, 1, MPI_CHAR, 0, waits, comm_, &request);
      // Rank 0 speaks first: who gives up ends the whole job.
      const auto told = clock::now();
      while (seconds_since(told) < 2 * collecting_seconds) {
        int done = 0;
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      throw error(waited_in_vain() + "another rank, and rank 0 says for which; " + why_in_vain);
    }
    std::vector<bool> waiting(static_cast<std::size_t>(ranks_));
    waiting[0] = true;
    const auto from = clock::now();
    while (seconds_since(from) < collecting_seconds && std::ranges::count(waiting, false) > 1) {
      int there = 0;
      MPI_Status status;
      if (MPI_Iprobe(MPI_ANY_SOURCE, waits, comm_, &there, &status) == MPI_SUCCESS && there != 0) {
        char nothing = 0;
        MPI_Recv(&nothing, 1, MPI_CHAR, status.MPI_SOURCE, waits, comm_, MPI_STATUS_IGNORE);
        waiting[static_cast<std::size_t>(status.MPI_SOURCE)] = true;
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    std::string missing;
    for (int r = 0; r < ranks_; ++r) {
      if (waiting[static_cast<std::size_t>(r)]) continue;
      missing += (missing.empty() ? "rank " : ", rank ") + std::to_string(r);
    }
    throw error(waited_in_vain() + missing + "; " + why_in_vain);
  }

  // `words` of every rank, rank by rank.
  std::vector<std::uint64_t> gather(std::span<const std::uint64_t> words) {
    const auto each = words.size();
    values_.resize(std::max(values_.size(), each * static_cast<std::size_t>(ranks_)));
    static_assert(sizeof(double) == sizeof(std::uint64_t));
    double* const mine = values_.data() + each * static_cast<std::size_t>(rank_);
    std::memcpy(mine, words.data(), words.size_bytes());
    run("MPI_Iallgather", [&](MPI_Request& request) {
      return MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values_.data(),
                            static_cast<int>(words.size_bytes()), MPI_BYTE, comm_, &request);
    });
    bytes_ += static_cast<index_t>(words.size_bytes()) * (ranks_ - 1);
    std::vector<std::uint64_t> all(each * static_cast<std::size_t>(ranks_));
    std::memcpy(all.data(), values_.data(), all.size() * sizeof(std::uint64_t));
    return all;
  }

  static bool same(const std::vector<std::uint64_t>& all, std::size_t each) {
    for (std::size_t at = each; at < all.size(); ++at) {
      if (all[at] != all[at % each]) return false;
    }
    return true;
  }

  [[noreturn]] void complain(const std::vector<std::uint64_t>& all) const {
    constexpr const char* ends[] = {
        ": all ranks must make the same calls",
        ": give all ranks the same arguments (dimension, estimator, seed, sample, budget)",
        ": start all ranks at the same point (zo::mpi::broadcast) and let nothing else change it"};
    for (std::size_t r = 1; r < all.size() / 3; ++r) {
      for (std::size_t word = 0; word < 3; ++word) {
        if (all[3 * r + word] == all[word]) continue;
        const std::string rank = "rank " + std::to_string(r), at = std::to_string(all[0]);
        const std::string what =
            word == 0   ? rank + " is at step " + std::to_string(all[3 * r]) + ", rank 0 at " + at
            : word == 1 ? "at step " + at + " " + rank + " asks for another estimate than rank 0"
                        : "at step " + at + " " + rank + " has another x than rank 0";
        throw error("zo::mpi: " + what + ends[word]);
      }
    }
    throw error("zo::mpi: the ranks disagree");  // a collision of fingerprints
  }

  // All ranks know that rank `failed` did: it says what happened, and all throw that.
  [[noreturn]] void fail_together(int failed, const std::exception_ptr& thrown) {
    std::array<char, 512> text{};
    if (rank_ == failed) {
      const std::string what = what_of(thrown);
      what.copy(text.data(), text.size() - 1);
    }
    run("MPI_Ibcast", [&](MPI_Request& request) {
      return MPI_Ibcast(text.data(), static_cast<int>(text.size()), MPI_CHAR, failed, comm_,
                        &request);
    });
    const error together("zo::mpi: rank " + std::to_string(failed) + " failed: " + text.data());
    if (rank_ != failed) throw together;
    try {
      std::rethrow_exception(thrown);
    } catch (...) {
      std::throw_with_nested(together);
    }
  }

  over_options options_;
  clock::time_point begun_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int ranks_ = 1;
  bool lost_ = false;
  index_t calls_ = 0;
  double waited_ = 0;
  index_t exchanges_ = 0;
  index_t bytes_ = 0;
  std::vector<double> values_;  // of the round at hand
  std::vector<int> counts_, offsets_;
};

mpi_team& mpi_team_of(zo::detail::team& team) { return dynamic_cast<mpi_team&>(team); }

}  // namespace

std::shared_ptr<zo::detail::team> make_team(MPI_Comm comm, const over_options& options) {
  constexpr const char* who = "zo::mpi::over";
  check_running(who);
  zo::detail::require(comm != MPI_COMM_NULL, who, ": the communicator is MPI_COMM_NULL");
  int between_groups = 0;
  check(MPI_Comm_test_inter(comm, &between_groups), "MPI_Comm_test_inter");
  zo::detail::require(between_groups == 0, who,
                      ": the communicator is an intercommunicator; give that of one group, such as "
                      "MPI_Intercomm_merge makes");
  zo::detail::require(options.wait_seconds > 0, who, ": wait_seconds must be above 0, got ",
                      options.wait_seconds);
  zo::detail::require(options.compare_every >= 1, who, ": compare_every must be at least 1, got ",
                      options.compare_every);
  return std::make_shared<mpi_team>(comm, options);
}

std::vector<rank_usage> usage(zo::detail::team& team) { return mpi_team_of(team).usage(); }

void broadcast(zo::detail::team& team, void* data, std::size_t bytes) {
  mpi_team_of(team).broadcast(data, bytes);
}

std::vector<double> gather(zo::detail::team& team, double mine) {
  return mpi_team_of(team).numbers_of(mine, {});
}

}  // namespace zo::mpi::detail

// The lines of a log, as text and as what they say.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "zo/journal.hpp"

namespace zo::detail {

// What identifies a run.
struct journal_head {
  int scalar_bytes = 8;
  std::uint64_t seed = 0;
  std::uint64_t first_step = 0;
  std::uint64_t estimator = 0;
  std::vector<double> start;
  std::string settings = "{}";
};

// All that a log says, and the sum of its lines, which the next one goes on with.
class journal_lines {
 public:
  journal_lines() = default;
  // Of the text of a whole file, whose last line may be cut off. Throws journal_error.
  journal_lines(const std::string& path, std::string_view text);

  std::size_t whole_bytes() const { return whole_bytes_; }  // without a line that was cut off
  const std::optional<journal_head>& head() const { return head_; }
  const std::vector<journal_entry>& entries() const { return entries_; }

  bool knows(std::uint64_t id) const { return by_id_.contains(id); }
  logged_answer recall(const std::string& path, const logged_question& question) const;
  std::optional<logged_close> closed(std::uint64_t first_id) const;
  // Throws std::invalid_argument unless it is the run that the log is of.
  void check(const std::string& path, const logged_run& run) const;

  // A line with its end, and the sum after it: take() where it is written.
  struct line {
    std::string text;
    std::uint64_t sum = 0;
  };
  line head_line(const logged_run& run, const std::string& settings) const;
  line answer_line(const logged_question& question, const logged_answer& answer, double at,
                   const journal_options& how) const;
  line close_line(const logged_close& close) const;
  void take(const line& written) { sum_ = written.sum; }

 private:
  line finished(std::string text) const;
  void read_line(const std::string& path, std::string_view text, std::size_t number);

  std::uint64_t sum_ = 0;
  std::size_t whole_bytes_ = 0;
  std::optional<journal_head> head_;
  std::vector<journal_entry> entries_;
  std::map<std::uint64_t, std::size_t> by_id_;   // place in entries
  std::map<std::uint64_t, std::uint64_t> sums_;  // of points that are not kept, by id
  std::map<std::uint64_t, logged_close> closed_;
};

// A settings text, checked and in one line. Throws journal_error.
std::string checked_settings(const std::string& text);

}  // namespace zo::detail

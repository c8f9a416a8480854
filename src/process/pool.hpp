// The programs of one zo::process, and what is said with them.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "process/child.hpp"
#include "process/command.hpp"
#include "process/guardian.hpp"
#include "process/text.hpp"
#include "zo/process.hpp"

namespace zo {

struct process::pool {
 public:
  pool(std::vector<std::string> words, const process_options& options);
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool();

  /// The question as it is written, with the end of its line.
  template <class T>
  std::string line_of(const detail::programs::question<T>& asked) const;

  /// Asks one question, a line with its end, and reads as many numbers.
  void ask(std::string_view line, std::span<double> numbers);

  /// Asks many, one number each, with all programs that are free. line(k) is that of question k.
  /// Where a question fails, its answer stays as it is; where all do, the first failure is thrown.
  void ask_all(index_t count, const std::function<std::string(index_t)>& line,
               std::span<double> answers);

  std::string last_failure() const;

 private:
  using child = detail::programs::child;
  using steady = detail::programs::steady;
  class lease;
  struct lane;
  class many;

  bool kept() const { return options_.manner == process_manner::kept; }
  std::size_t most() const { return static_cast<std::size_t>(options_.longest_answer); }

  void start(child& who, const std::vector<std::string>& words);
  // Puts a question, and where nothing runs yet starts what is to answer it.
  void put(child& who, std::string_view line);
  void put_to_kept(child& who, std::string_view line);
  void put_to_new(child& who, std::string_view line);
  // Whether the oldest question is answered. Throws process_error where it will not be.
  bool answered(child& who, steady::time_point deadline, std::span<double> numbers);
  bool kept_answered(child& who, std::span<double> numbers);
  bool once_answered(child& who, std::span<double> numbers);
  void wait(std::span<child* const> children, steady::time_point deadline) const;
  detail::programs::reading read(std::string_view line, std::span<double> numbers) const;
  std::string sentence(child& who, const std::string& what);
  // Throws the sentence, and the program runs on.
  [[noreturn]] void fail_well(child& who, const std::string& what);
  // Ends the program and throws the sentence.
  [[noreturn]] void fail(child& who, const std::string& what);
  [[noreturn]] void fail_ended(child& who);
  [[noreturn]] void fail_too_long(child& who);

  const process_options options_;
  const detail::programs::command command_;
  const detail::programs::guardian guardian_;
  std::vector<std::unique_ptr<child>> children_;
  mutable std::mutex mutex_;
  std::condition_variable one_is_free_;
  std::vector<child*> free_;
  std::string last_failure_;
};

}  // namespace zo

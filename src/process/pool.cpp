#include "process/pool.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <deque>
#include <exception>
#include <optional>
#include <system_error>

#include "process/json.hpp"
#include "zo/error.hpp"

namespace zo {

using detail::programs::numbers_file;
using detail::programs::question;
using detail::programs::quoted;
using detail::programs::reading;

namespace {

// A failure that the program reports itself.
struct failed_well : process_error {
  using process_error::process_error;
};

// What is left of the output of a program that is asked once: the last line that says something.
void keep_last_line(detail::programs::child& who) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::string_view text = who.received();
  const std::size_t last = text.find_last_not_of(blanks);
  if (last == text.npos) {
    who.take(text.size());
    return;
  }
  const std::size_t before = text.rfind('\n', last), end = text.find('\n', last);
  who.keep(before == text.npos ? 0 : before + 1, end == text.npos ? text.size() : end + 1);
}

std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }

}  // namespace

// A program for the time of a question. One that was left in the middle of it is ended.
class process::pool::lease {
 public:
  lease(pool& of, child* who) : of_(of), who_(who) {}
  lease(lease&& from) noexcept : of_(from.of_), who_(std::exchange(from.who_, nullptr)) {}
  lease& operator=(lease&&) = delete;
  ~lease() {
    if (who_ == nullptr) return;
    if (who_->questions > 0) who_->end();
    {
      const std::lock_guard lock(of_.mutex_);
      of_.free_.push_back(who_);
    }
    of_.one_is_free_.notify_one();
  }

  static lease wait(pool& of) {
    std::unique_lock lock(of.mutex_);
    of.one_is_free_.wait(lock, [&] { return !of.free_.empty(); });
    return take(of);
  }
  static std::optional<lease> if_free(pool& of) {
    const std::lock_guard lock(of.mutex_);
    if (of.free_.empty()) return std::nullopt;
    return take(of);
  }

  child& operator*() const { return *who_; }
  child* operator->() const { return who_; }

 private:
  static lease take(pool& of) {
    child* const who = of.free_.back();
    of.free_.pop_back();
    return {of, who};
  }

  pool& of_;
  child* who_;
};

process::pool::pool(std::vector<std::string> words, const process_options& options)
    : options_(options), command_(std::move(words), options_) {
  for (int k = 0; k < options_.workers; ++k) {
    children_.push_back(std::make_unique<child>(command_.how(), guardian_));
    if (kept()) start(*children_.back(), command_.words());
  }
  for (const auto& one : children_) free_.insert(free_.begin(), one.get());
}

// A program that reads until its input ends may still write files then.
process::pool::~pool() {
  constexpr std::chrono::milliseconds patience{200};
  constexpr timespec pause{0, 1'000'000};
  for (const auto& one : children_) one->close_stdin();
  const auto runs = [](const auto& one) {
    one->look_at_once();
    return one->runs() && !one->ended();
  };
  const steady::time_point until = steady::now() + patience;
  while (std::ranges::any_of(children_, runs) && steady::now() < until) nanosleep(&pause, nullptr);
}

void process::pool::start(child& who, const std::vector<std::string>& words) {
  try {
    who.start(words);
  } catch (const std::system_error& error) {
    const bool no_format = error.code() == std::errc::executable_format_error;
    throw process_error("zo::process: " + command_.name() +
                        " cannot be started: " + error.code().message() +
                        (no_format ? "; a script begins with #!/bin/sh" : ""));
  }
}

void process::pool::put(child& who, std::string_view line) {
  kept() ? put_to_kept(who, line) : put_to_new(who, line);
  ++who.questions;
}

void process::pool::put_to_kept(child& who, std::string_view line) {
  if (who.runs() && who.questions == 0) {
    who.read_stdout(most());
    if (!who.received().empty()) {
      fail(who, "wrote " + quoted(who.received()) +
                    " before it was asked: it must write one line for each line that it reads, and "
                    "nothing else");
    }
    const bool answered_before = who.fruitless_starts == 0;
    if (who.stdout_ended() && answered_before) who.end();  // another is asked
  }
  if (!who.runs()) start(who, command_.words());
  who.write(line);
}

void process::pool::put_to_new(child& who, std::string_view line) {
  const std::string_view numbers = line.substr(0, line.size() - 1);
  if (command_.wants_file()) who.file.emplace(numbers);
  start(who, command_.words_for(numbers, who.file ? who.file->name() : ""));
  if (command_.wants_stdin()) who.write(line);
  who.close_stdin_when_written();
}

bool process::pool::answered(child& who, steady::time_point deadline, std::span<double> numbers) {
  if (kept() ? kept_answered(who, numbers) : once_answered(who, numbers)) {
    who.fruitless_starts = 0;
    return true;
  }
  if (steady::now() < deadline) return false;
  const double seconds = static_cast<double>(options_.timeout.count()) / 1000;
  std::string what =
      "gave no answer within " + detail::number_text(seconds) + " s (zo::process_options::timeout)";
  if (kept() && who.received().empty() && !who.stdout_ended()) {
    what += "; a kept program must end each answer with a newline and flush its stdout";
  } else if (kept() && !who.received().empty()) {
    what += "; it has begun one, " + quoted(who.received()) + ", without a newline";
  }
  fail(who, what);
}

bool process::pool::kept_answered(child& who, std::span<double> numbers) {
  if (who.ended()) who.read_stdout(most());
  const std::string_view line = first_line(who.received());
  if (line.size() > most()) fail_too_long(who);
  if (line.size() == who.received().size()) {  // it goes on
    if (who.ended()) fail_ended(who);
    return false;
  }
  const reading answer = read(line, numbers);
  if (!answer.wrong.empty() && !answer.says_so_itself) fail(who, answer.wrong);
  who.take(line.size() + 1);
  --who.questions;
  if (who.questions == 0 && !who.received().empty()) {
    fail(who, "wrote another line behind its answer, " + quoted(who.received()) +
                  ": it must write one line for each line that it reads, and nothing else");
  }
  if (!answer.wrong.empty()) fail_well(who, answer.wrong);
  return true;
}

bool process::pool::once_answered(child& who, std::span<double> numbers) {
  bool more = who.ended() && !who.stdout_ended();
  do {
    more = more && who.read_stdout(most());
    keep_last_line(who);
    if (first_line(who.received()).size() > most()) fail_too_long(who);
  } while (more);
  if (!who.ended()) return false;
  if (!who.ended()->well()) fail_ended(who);
  if (who.received().empty()) fail_ended(who);
  const reading answer = read(first_line(who.received()), numbers);
  if (!answer.wrong.empty()) fail(who, answer.wrong);
  --who.questions;
  who.end();
  return true;
}

void process::pool::wait(std::span<child* const> children, steady::time_point deadline) const {
  if (options_.while_waiting) options_.while_waiting();
  detail::programs::wait_for(children, deadline, most());
}

template <class T>
std::string process::pool::line_of(const question<T>& asked) const {
  std::string line;
#ifdef ZO_HAS_JSON
  if (options_.format == process_format::json) {
    detail::programs::write_json(asked, line);
    return line;
  }
#endif
  detail::programs::write_question(asked, line);
  return line;
}
template std::string process::pool::line_of(const question<float>&) const;
template std::string process::pool::line_of(const question<double>&) const;

reading process::pool::read(std::string_view line, std::span<double> numbers) const {
#ifdef ZO_HAS_JSON
  if (options_.format == process_format::json) return detail::programs::read_json(line, numbers);
#endif
  return {detail::programs::read_numbers(line, numbers)};
}

std::string process::pool::sentence(child& who, const std::string& what) {
  constexpr int worth_saying = 3;
  std::string sentence = "zo::process: " + command_.name() + " " + what;
  if (who.fruitless_starts >= worth_saying) {
    sentence += "; it was started " + std::to_string(who.fruitless_starts) +
                " times in a row and never answered";
  }
  const std::string last = detail::programs::last_lines(who.read_stderr(), options_.stderr_lines);
  if (!last.empty()) sentence += "; the end of its stderr:" + last;
  const std::lock_guard lock(mutex_);
  last_failure_ = sentence;
  return sentence;
}

void process::pool::fail_well(child& who, const std::string& what) {
  who.fruitless_starts = 0;
  throw failed_well(sentence(who, what));
}

void process::pool::fail(child& who, const std::string& what) {
  const std::string why = sentence(who, what);
  who.end();
  who.questions = 0;
  throw process_error(why);
}

void process::pool::fail_ended(child& who) {
  std::string what = who.ended()->text();
  if (!who.received().empty() && kept()) {
    what += " in the middle of a line, " + quoted(who.received());
  } else if (kept()) {
    what += " and gave no answer";
  } else if (who.ended()->well()) {
    what += " and wrote nothing to stdout: its last line must be the answer";
  }
  fail(who, what);
}

void process::pool::fail_too_long(child& who) {
  fail(who, "wrote a line longer than " + std::to_string(options_.longest_answer) +
                " bytes (zo::process_options::longest_answer): " + quoted(who.received()));
}

std::string process::pool::last_failure() const {
  const std::lock_guard lock(mutex_);
  return last_failure_;
}

void process::pool::ask(std::string_view line, std::span<double> numbers) {
  const lease who = lease::wait(*this);
  put(*who, line);
  const steady::time_point deadline = steady::now() + options_.timeout;
  const std::array<child*, 1> alone{&*who};
  do {
    wait(alone, deadline);
  } while (!answered(*who, deadline, numbers));
}

// A program among many, and which questions it was given. It is at work on the first.
struct process::pool::lane {
  explicit lane(lease given) : who(std::move(given)) {}

  lease who;
  std::deque<index_t> questions{};
  steady::time_point deadline{};
};

// Many questions on their way through the programs that were free.
class process::pool::many {
 public:
  many(pool& of, index_t count, const std::function<std::string(index_t)>& line,
       std::span<double> answers)
      : of_(of), line_(line), answers_(answers) {
    for (index_t k = count; k > 0; --k) waiting_.push_back(k - 1);
    lanes_.emplace_back(lease::wait(of));
    while (static_cast<index_t>(lanes_.size()) < count) {
      std::optional<lease> another = lease::if_free(of);
      if (!another) break;
      lanes_.emplace_back(std::move(*another));
    }
  }

  void run() {
    for (;;) {
      for (lane& one : lanes_) guarded(one, [&] { give(one); });
      std::vector<child*> asked;
      steady::time_point first = steady::time_point::max();
      for (const lane& one : lanes_) {
        if (one.questions.empty()) continue;
        asked.push_back(&*one.who);
        first = std::min(first, one.deadline);
      }
      if (asked.empty() && waiting_.empty()) break;
      if (!asked.empty()) of_.wait(asked, first);
      for (lane& one : lanes_) guarded(one, [&] { hear(one); });
    }
    if (answered_ == 0 && failure_) std::rethrow_exception(failure_);
  }

 private:
  // A kept program has its next question before it is done with this one, so that it never waits.
  void give(lane& to) {
    const std::size_t ahead = of_.kept() ? 2 : 1;
    while (to.questions.size() < ahead && !waiting_.empty()) {
      const index_t k = waiting_.back();
      waiting_.pop_back();
      if (to.questions.empty()) to.deadline = steady::now() + of_.options_.timeout;
      to.questions.push_back(k);
      of_.put(*to.who, line_(k));
    }
  }

  void hear(lane& from) {
    while (!from.questions.empty()) {
      double& answer = answers_[static_cast<std::size_t>(from.questions.front())];
      double said = 0;
      if (!of_.answered(*from.who, from.deadline, {&said, 1})) return;
      answer = said;
      ++answered_;
      from.questions.pop_front();
      from.deadline = steady::now() + of_.options_.timeout;
    }
  }

  // The question that a program fails at is not answered; those behind it are asked again where it
  // does not live to answer them.
  template <class Work>
  void guarded(lane& one, const Work& work) {
    try {
      work();
    } catch (const failed_well&) {
      if (!failure_) failure_ = std::current_exception();
      one.questions.pop_front();
      one.deadline = steady::now() + of_.options_.timeout;
      guarded(one, work);  // its next answer may be here already
    } catch (const process_error&) {
      if (!failure_) failure_ = std::current_exception();
      if (!one.questions.empty()) one.questions.pop_front();
      while (!one.questions.empty()) {
        waiting_.push_back(one.questions.back());
        one.questions.pop_back();
      }
    }
  }

  pool& of_;
  const std::function<std::string(index_t)>& line_;
  std::span<double> answers_;
  std::vector<index_t> waiting_;  // the next one is the last
  std::vector<lane> lanes_;
  index_t answered_ = 0;
  std::exception_ptr failure_;
};

void process::pool::ask_all(index_t count, const std::function<std::string(index_t)>& line,
                            std::span<double> answers) {
  if (count > 0) many(*this, count, line, answers).run();
}

}  // namespace zo

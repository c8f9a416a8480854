#include "zo/watch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "zo/error.hpp"
#include "zo/finite.hpp"
#include "zo/interrupt.hpp"

namespace zo {
namespace {

constexpr std::string_view head = "step,queries,failed,value,best,seconds\n";

// A row, in memory that is there already.
class row_text {
 public:
  template <class Number>
  row_text& add(Number number) {
    if constexpr (std::is_floating_point_v<Number>) {
      if (detail::is_nan(number)) return add_text("nan");  // never "-nan"
    }
    at_ = std::to_chars(at_, text_.data() + text_.size(), number).ptr;
    return add_text({});
  }
  std::string_view finish() {
    at_[-1] = '\n';
    return {text_.data(), static_cast<std::size_t>(at_ - text_.data())};
  }

 private:
  row_text& add_text(std::string_view text) {
    for (const char c : text) *at_++ = c;
    *at_++ = ',';
    return *this;
  }

  std::array<char, 256> text_;  // six numbers of at most 24 characters
  char* at_ = text_.data();
};

struct row {
  std::uint64_t step = 0;
  index_t queries = 0, failed = 0;
  double value = 0, best = 0, seconds = 0;
};

class csv_file {
 public:
  csv_file(std::string path, bool resume) : path_(std::move(path)) {
    const std::size_t kept = resume ? find_end() : 0;
    file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file_ < 0) fail("open");
    try {
      // What is no file, as a pipe, has nothing to be cut off.
      if (::ftruncate(file_, static_cast<off_t>(kept)) != 0 && kept > 0) fail("shorten");
      if (kept == 0) write(head);
    } catch (...) {
      ::close(file_);
      throw;
    }
  }
  csv_file(const csv_file&) = delete;
  csv_file& operator=(const csv_file&) = delete;
  ~csv_file() { ::close(file_); }

  void add(const step_report& made) {
    if (made.step <= last_.step && has_rows_) {  // the run before was here
      before_ = {0, last_.queries - made.queries, last_.failed - made.failed, 0,
                 0, last_.seconds - made.seconds};
      return;
    }
    write(row_text()
              .add(made.step)
              .add(before_.queries + made.queries)
              .add(before_.failed + made.failed)
              .add(made.value)
              .add(made.best)
              .add(before_.seconds + made.seconds)
              .finish());
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::system_error(errno, std::generic_category(),
                            "zo::watch: could not " + what + " " + path_);
  }

  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t done = ::write(file_, text.data(), text.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail("write");
      text.remove_prefix(static_cast<std::size_t>(done));
    }
  }

  // The end of the last whole row of the file that is there, which is read; 0: there is none.
  std::size_t find_end() {
    std::ifstream from(path_, std::ios::binary);
    const std::string all{std::istreambuf_iterator<char>(from), {}};
    if (all.size() < head.size() && head.starts_with(all)) return 0;
    const auto refuse = [this](const std::string& why) {
      detail::require(false, "zo::watch: ", path_, " is not the table of a run: ", why,
                      "; give another name, or leave resume out to replace it");
    };
    if (!all.starts_with(head)) {
      refuse("its first line is not " + std::string(head.substr(0, head.size() - 1)));
    }
    const std::size_t end = all.rfind('\n') + 1;
    if (end == head.size()) return end;
    const std::size_t begin = all.rfind('\n', end - 2) + 1;
    const char* at = all.data() + begin;
    const char* const last = all.data() + end;
    row found;
    const auto read = [&](auto& number) {
      const auto [next, error] = std::from_chars(at, last, number);
      if (error != std::errc{} || (*next != ',' && *next != '\n')) {
        refuse("its last line is " + all.substr(begin, end - 1 - begin));
      }
      at = next + 1;
    };
    read(found.step);
    read(found.queries);
    read(found.failed);
    read(found.value);
    read(found.best);
    read(found.seconds);
    last_ = before_ = found;
    has_rows_ = true;
    return end;
  }

  std::string path_;
  int file_ = -1;
  bool has_rows_ = false;
  row last_;    // of the run before
  row before_;  // what counts on from there
};

}  // namespace

struct watch::state {
  explicit state(watch_options of) : options(std::move(of)) {
    if (!options.csv.empty()) csv.emplace(options.csv, options.resume);
    if (options.stop_on_interrupt) guard.emplace();
    progress_options& how = options.line;
    how.value_name = "best";
    how.unit = options.max_queries || !options.max_steps ? "queries" : "steps";
    if (options.max_queries) how.first = how.first_queries;
    line.emplace(options.label, total(), how);
  }

  std::int64_t total() const {
    if (options.max_queries) return *options.max_queries;
    return options.max_steps ? static_cast<std::int64_t>(*options.max_steps) : 0;
  }

  watch_options options;
  std::optional<csv_file> csv;
  std::optional<interrupt_guard> guard;
  std::optional<progress> line;
  std::uint64_t steps = 0;
  double lowest = detail::failed_query;  // of the estimates
  int signal = 0;
};

watch::watch(watch_options options) : state_(std::make_shared<state>(std::move(options))) {}

verdict watch::operator()(const step_report& made) const {
  state& now = *state_;
  ++now.steps;
  if (now.csv) now.csv->add(made);
  if (!detail::is_nan(made.value) && !(made.value >= now.lowest)) now.lowest = made.value;
  const double best = detail::is_nan(made.best) ? now.lowest : made.best;
  const bool queries = now.options.line.unit == "queries";
  now.line->update(queries ? made.queries : static_cast<std::int64_t>(now.steps), made.queries,
                   detail::is_nan(best) ? std::optional<double>{} : best, made.failed);
  if (now.guard && now.signal == 0) now.signal = interrupt_guard::signal_number();
  return now.signal == 0 ? verdict::go_on : verdict::stop;
}

void watch::finish() const { state_->line->finish(); }
int watch::signal() const { return state_->signal; }

}  // namespace zo

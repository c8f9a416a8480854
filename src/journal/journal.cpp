#include "zo/journal.hpp"

#include <cmath>
#include <mutex>

#include "journal/appended_file.hpp"
#include "journal/lines.hpp"

namespace zo {

struct journal::file {
  file(const std::string& path, const journal_options& how)
      : options(how), settings(detail::checked_settings(how.settings)), bytes(path, how.wait) {
    const std::string text = bytes.read();
    lines = detail::journal_lines(path, text);
    bytes.cut(lines.whole_bytes());
    if (lines.head()) settings = lines.head()->settings;
  }
  void append(const detail::journal_lines::line& line) {
    bytes.append(line.text, options.sync);
    lines.take(line);
  }

  journal_options options;
  std::string settings;
  detail::appended_file bytes;
  detail::journal_lines lines;  // those that were there
  mutable std::mutex mutex;     // of what follows a line that is written
  bool has_head = false;
  index_t recorded = 0;
};

namespace {

// With microseconds.
double time_of_day() {
  const std::chrono::duration<double> since = std::chrono::system_clock::now().time_since_epoch();
  return std::round(since.count() * 1e6) / 1e6;
}

}  // namespace

journal::journal(const std::string& path, const journal_options& options) {
  detail::require(options.longest_point >= 0, "zo::journal: longest_point must be at least 0, got ",
                  options.longest_point);
  detail::require(options.wait.count() >= 0, "zo::journal: wait must be at least 0 ms, got ",
                  options.wait.count());
  file_ = std::make_unique<file>(path, options);
}
journal::~journal() = default;

const std::string& journal::settings() const { return file_->settings; }
bool journal::goes_on() const { return file_->lines.head().has_value(); }

void journal::begin(const logged_run& run) {
  const std::lock_guard lock(file_->mutex);
  detail::require(!file_->has_head, "zo::journal: ", file_->bytes.path(),
                  " is the log of one run, and another begins; open it again to go on, or give "
                  "another run a file of its own");
  file_->has_head = true;
  if (goes_on()) {
    file_->lines.check(file_->bytes.path(), run);
  } else {
    file_->append(file_->lines.head_line(run, file_->settings));
  }
}

bool journal::knows(std::uint64_t id) const { return file_->lines.knows(id); }

logged_answer journal::recall(const logged_question& question) const {
  return file_->lines.recall(file_->bytes.path(), question);
}

void journal::record(const logged_question& question, const logged_answer& answer) {
  const std::lock_guard lock(file_->mutex);
  file_->append(file_->lines.answer_line(question, answer, time_of_day(), file_->options));
  ++file_->recorded;
}

std::optional<logged_close> journal::closed(std::uint64_t first_id) const {
  return file_->lines.closed(first_id);
}

void journal::record(const logged_close& close) {
  const std::lock_guard lock(file_->mutex);
  file_->append(file_->lines.close_line(close));
}

index_t journal::recorded() const {
  const std::lock_guard lock(file_->mutex);
  return file_->recorded;
}

namespace detail {

struct journal_reader::lines {
  explicit lines(const std::string& from) : path(from), all(from, read_whole(from)) {
    if (!all.head()) throw journal_error("zo::journal: " + path + " is empty: no run has begun");
    const journal_head& head = *all.head();
    contents = {head.scalar_bytes, head.seed,     head.first_step,
                head.start,        head.settings, all.entries()};
  }
  std::string path;
  journal_lines all;
  journal_contents contents;
};

journal_reader::journal_reader(const std::string& path) : lines_(std::make_unique<lines>(path)) {}
journal_reader::~journal_reader() = default;
const journal_contents& journal_reader::contents() const { return lines_->contents; }

void journal_reader::begin(const logged_run& run) { lines_->all.check(lines_->path, run); }
bool journal_reader::knows(std::uint64_t id) const { return lines_->all.knows(id); }
logged_answer journal_reader::recall(const logged_question& question) const {
  return lines_->all.recall(lines_->path, question);
}
void journal_reader::record(const logged_question&, const logged_answer&) {
  throw journal_error("zo::replay: " + lines_->path + " is read only");
}
std::optional<logged_close> journal_reader::closed(std::uint64_t first_id) const {
  return lines_->all.closed(first_id);
}
void journal_reader::record(const logged_close&) {
  throw journal_error("zo::replay: " + lines_->path + " is read only");
}

}  // namespace detail

journal_contents read_journal(const std::string& path) {
  return detail::journal_reader(path).contents();
}

}  // namespace zo

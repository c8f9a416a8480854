#include "process/command.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "process/text.hpp"
#include "zo/error.hpp"

extern char** environ;

namespace zo::detail::programs {
namespace {

constexpr std::string_view numbers_mark = "{x}", file_mark = "{file}";

bool contain(const std::vector<std::string>& words, std::string_view mark) {
  return std::ranges::any_of(words,
                             [&](const std::string& word) { return word.find(mark) != word.npos; });
}

void replace(std::string& word, std::string_view mark, std::string_view by) {
  for (std::size_t at = 0; (at = word.find(mark, at)) != word.npos; at += by.size()) {
    word.replace(at, mark.size(), by);
  }
}

void check(const std::vector<std::string>& words, const process_options& options) {
  constexpr const char* who = "zo::process: ";
  require(!words.empty() && !words.front().empty(), who,
          "the command is empty; its first word is the program");
#ifndef ZO_HAS_JSON
  require(options.format != process_format::json, who,
          "process_format::json needs a zo that was built with nlohmann-json (Debian: "
          "nlohmann-json3-dev)");
#endif
  require(options.workers >= 1, who, "workers must be at least 1, got ", options.workers);
  require(options.timeout.count() > 0, who, "timeout must be above 0 ms, got ",
          static_cast<index_t>(options.timeout.count()));
  require(options.timeout <= std::chrono::hours(24 * 36'500), who,
          "timeout must be at most a hundred years");
  require(options.longest_answer >= 1, who, "longest_answer must be at least 1 byte, got ",
          options.longest_answer);
  require(options.stderr_lines >= 0, who, "stderr_lines must be at least 0, got ",
          options.stderr_lines);
  for (const std::string& one : options.environment) {
    require(one.find('=') != one.npos && one.front() != '=', who,
            "environment consists of \"NAME=value\", got ", quoted(one));
  }
  const bool marked = contain(words, numbers_mark) || contain(words, file_mark);
  require(!marked || options.manner == process_manner::once, who,
          "{x} and {file} are for process_manner::once; a kept program reads its numbers from "
          "stdin");
}

std::vector<std::string> environment_with(const std::vector<std::string>& added) {
  std::vector<std::string> all;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view text = *one;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    const bool replaced =
        std::ranges::any_of(added, [&](const std::string& line) { return line.starts_with(name); });
    if (!replaced) all.emplace_back(text);
  }
  all.insert(all.end(), added.begin(), added.end());
  return all;
}

// Says with errno why a file cannot be executed.
bool can_be_executed(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) return false;
  if (!S_ISREG(about.st_mode)) {
    errno = EACCES;
    return false;
  }
  return access(path.c_str(), X_OK) == 0;
}

// Where the program lies: a name without a slash is looked for in PATH.
std::string found(const std::string& program, const std::string& folder) {
  const std::string before = folder.empty() ? "" : folder + "/";
  if (program.find('/') != program.npos) {
    return can_be_executed(program.front() == '/' ? program : before + program) ? program : "";
  }
  const char* const path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  int error = ENOENT;
  for (bool more = true; more;) {
    const std::size_t colon = rest.find(':');
    std::string candidate(rest.substr(0, colon));
    candidate += candidate.empty() ? "./" + program : "/" + program;
    if (can_be_executed(candidate.front() == '/' ? candidate : before + candidate))
      return candidate;
    if (errno == EACCES) error = EACCES;
    more = colon != rest.npos;
    if (more) rest.remove_prefix(colon + 1);
  }
  errno = error;
  return "";
}

}  // namespace

command::command(std::vector<std::string> words, const process_options& options)
    : words_(std::move(words)) {
  check(words_, options);
  for (const std::string& word : words_) name_ += (name_.empty() ? "" : " ") + word;
  name_ = quoted(name_, 200);
  wants_arguments_ = contain(words_, numbers_mark);
  wants_file_ = contain(words_, file_mark);
  struct stat about {};
  if (!options.folder.empty() &&
      (stat(options.folder.c_str(), &about) != 0 || !S_ISDIR(about.st_mode))) {
    throw process_error("zo::process: " + name_ + " is to work in " + quoted(options.folder) +
                        ", which is no folder");
  }
  how_ = {found(words_.front(), options.folder), environment_with(options.environment),
          options.folder};
  if (how_.path.empty()) {
    throw process_error("zo::process: " + name_ +
                        " cannot be started: " + std::generic_category().message(errno) +
                        "; the first word must be a program that can be executed");
  }
}

std::vector<std::string> command::words_for(std::string_view line, const std::string& file) const {
  std::vector<std::string> all;
  for (std::string word : words_) {
    if (word == numbers_mark) {
      for (std::string_view rest = line; !rest.empty();) {
        const std::size_t blank = std::min(rest.find(' '), rest.size());
        all.emplace_back(rest.substr(0, blank));
        rest.remove_prefix(std::min(blank + 1, rest.size()));
      }
      continue;
    }
    replace(word, numbers_mark, line);
    replace(word, file_mark, file);
    all.push_back(std::move(word));
  }
  return all;
}

}  // namespace zo::detail::programs

#include "journal/lines.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "zo/error.hpp"
#include "zo/finite.hpp"
#include "zo/team.hpp"

namespace zo::detail {

namespace {

using json = nlohmann::ordered_json;

constexpr std::string_view head_begin = "{\"zo log\":1,";
constexpr std::string_view sum_begin = ",\"sum\":\"";
constexpr std::size_t sum_digits = 16;
constexpr std::string_view line_end = "\"}\n";

std::string hex(std::uint64_t value) {
  std::array<char, sum_digits + 1> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}
std::uint64_t from_hex(const std::string& text) { return std::stoull(text, nullptr, 16); }

// Texts of other programs need not be UTF-8.
std::string dumped(const json& all) {
  return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::uint64_t sum_of(std::span<const double> point) { return fingerprint().add(point).value(); }

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw journal_error("zo::journal: " + path + " " + what);
}

}  // namespace

std::string checked_settings(const std::string& text) {
  if (text.empty()) return "{}";
  const json settings = json::parse(text, nullptr, false);
  if (!settings.is_object()) throw journal_error("zo::journal: settings must be a JSON object");
  return dumped(settings);
}

journal_lines::line journal_lines::finished(std::string text) const {
  text.pop_back();  // the closing brace comes after the sum
  const std::uint64_t sum = fingerprint().add(sum_).add(text).value();
  text.append(sum_begin).append(hex(sum)).append(line_end);
  return {std::move(text), sum};
}

journal_lines::line journal_lines::head_line(const logged_run& run,
                                             const std::string& settings) const {
  json head;
  head["zo log"] = 1;
  head["scalar"] = run.scalar_bytes == sizeof(float) ? "float" : "double";
  head["seed"] = run.seed;
  head["first step"] = run.first_step;
  head["estimator"] = hex(run.estimator);
  head["start"] = std::vector<double>(run.start.begin(), run.start.end());
  head["settings"] = json::parse(settings);
  return finished(dumped(head));
}

journal_lines::line journal_lines::answer_line(const logged_question& question,
                                               const logged_answer& answer, double at,
                                               const journal_options& how) const {
  json parts;
  parts["id"] = question.id;
  parts["step"] = question.step;
  if (is_finite(answer.loss)) {
    parts["answer"] = answer.loss;
  } else {
    parts["failure"] = answer.failure;
  }
  if (answer.queries != 1) parts["queries"] = answer.queries;
  if (is_finite(answer.seconds)) parts["seconds"] = answer.seconds;
  parts["at"] = at;
  if (static_cast<index_t>(question.point.size()) <= how.longest_point) {
    parts["point"] = std::vector<double>(question.point.begin(), question.point.end());
  } else {
    parts["point sum"] = hex(sum_of(question.point));
  }
  if (how.values) parts["values"] = how.values(question.point, question.step);
  return finished(dumped(parts));
}

journal_lines::line journal_lines::close_line(const logged_close& close) const {
  json parts;
  parts["close"] = close.id;
  parts["step"] = close.step;
  parts["late"] = close.late;
  parts["queries"] = close.queries;
  return finished(dumped(parts));
}

journal_lines::journal_lines(const std::string& path, std::string_view text) {
  const std::size_t begin = std::min(text.size(), head_begin.size());
  if (text.substr(0, begin) != head_begin.substr(0, begin)) {
    refuse(path, "is no log of a run; give the name of another file");
  }
  for (std::size_t number = 1;; ++number) {
    const std::size_t end = text.find('\n', whole_bytes_);
    if (end == std::string_view::npos) break;
    read_line(path, text.substr(whole_bytes_, end + 1 - whole_bytes_), number);
    whole_bytes_ = end + 1;
  }
}

void journal_lines::read_line(const std::string& path, std::string_view text, std::size_t number) {
  const auto damaged = [&] {
    refuse(path, "is damaged: line " + std::to_string(number) +
                     " is not as it was written; take an older copy, or leave this and the lines "
                     "after it away");
  };
  const std::size_t tail = sum_begin.size() + sum_digits + line_end.size();
  if (text.size() <= tail || !text.ends_with(line_end)) damaged();
  const std::string_view body = text.substr(0, text.size() - tail);
  const std::string_view sum_text = text.substr(body.size() + sum_begin.size(), sum_digits);
  const std::uint64_t sum = fingerprint().add(sum_).add(body).value();
  if (text.substr(body.size(), sum_begin.size()) != sum_begin || sum_text != hex(sum)) damaged();
  sum_ = sum;
  try {
    const json parts = json::parse(text);
    if (!head_) {
      journal_head head;
      head.scalar_bytes = parts.at("scalar") == "float" ? sizeof(float) : sizeof(double);
      head.seed = parts.at("seed");
      head.first_step = parts.at("first step");
      head.estimator = from_hex(parts.at("estimator"));
      head.start = parts.at("start").get<std::vector<double>>();
      head.settings = dumped(parts.at("settings"));
      head_ = std::move(head);
    } else if (parts.contains("close")) {
      const std::uint64_t id = parts.at("close");
      closed_[id] = {id, parts.at("step"), parts.at("late").get<std::vector<std::uint64_t>>(),
                     parts.at("queries").get<std::vector<index_t>>()};
    } else {
      journal_entry entry;
      entry.id = parts.at("id");
      entry.step = parts.at("step");
      if (parts.contains("answer")) {
        entry.answer = parts.at("answer");
      } else {
        entry.failure = parts.at("failure");
      }
      entry.queries = parts.value("queries", index_t{1});
      entry.seconds = parts.value("seconds", entry.seconds);
      entry.at = parts.at("at");
      if (parts.contains("point")) {
        entry.point = parts.at("point").get<std::vector<double>>();
        sums_[entry.id] = sum_of(entry.point);
      } else {
        sums_[entry.id] = from_hex(parts.at("point sum"));
      }
      entry.values = parts.value("values", entry.values);
      by_id_[entry.id] = entries_.size();
      entries_.push_back(std::move(entry));
    }
  } catch (const json::exception&) {
    refuse(path, "is of another version of zo: line " + std::to_string(number) +
                     " has other parts; go on with the version that wrote it");
  }
}

logged_answer journal_lines::recall(const std::string& path,
                                    const logged_question& question) const {
  const journal_entry& entry = entries_[by_id_.at(question.id)];
  require(sums_.at(question.id) == sum_of(question.point), "zo::journal: question ", question.id,
          " of ", path,
          " asks another point: the run has another optimizer, or its options are others; give "
          "those that the log was made with, or another file");
  return {entry.answer, entry.failure, entry.queries, entry.seconds};
}

std::optional<logged_close> journal_lines::closed(std::uint64_t first_id) const {
  const auto found = closed_.find(first_id);
  if (found == closed_.end()) return {};
  return found->second;
}

void journal_lines::check(const std::string& path, const logged_run& run) const {
  const auto same = [&](bool holds, const char* what) {
    require(holds, "zo::journal: ", path, " is the log of a run with another ", what,
            "; give the one it was made with, or another file");
  };
  same(head_->start.size() == run.start.size(), "number of coordinates");
  same(head_->scalar_bytes == run.scalar_bytes, "scalar type");
  same(head_->seed == run.seed, "seed");
  same(head_->first_step == run.first_step, "first_step");
  same(head_->estimator == run.estimator, "estimator, or other options of it");
  same(sum_of(head_->start) == sum_of(run.start),
       "x to start from: a run goes on from the x it began with, not from its last one");
}

}  // namespace zo::detail

// A command as the user gave it: found, checked, and with the numbers of a question in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "process/spawn.hpp"
#include "zo/process.hpp"

namespace zo::detail::programs {

class command {
 public:
  /// Throws std::invalid_argument, and process_error where there is no such program.
  command(std::vector<std::string> words, const process_options& options);

  const recipe& how() const { return how_; }
  const std::vector<std::string>& words() const { return words_; }
  const std::string& name() const { return name_; }  // in sentences
  bool wants_file() const { return wants_file_; }
  bool wants_stdin() const { return !wants_file_ && !wants_arguments_; }

  /// The words with the numbers of a line in place of {x}, and a name in place of {file}.
  std::vector<std::string> words_for(std::string_view line, const std::string& file) const;

 private:
  std::vector<std::string> words_;
  std::string name_;
  recipe how_;
  bool wants_file_ = false, wants_arguments_ = false;
};

}  // namespace zo::detail::programs

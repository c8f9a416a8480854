// The numbers of a question as a file.
#pragma once

#include <string>
#include <string_view>

namespace zo::detail::programs {

/// A file with a number of the line in each of its lines, which goes when this does.
class numbers_file {
 public:
  explicit numbers_file(std::string_view line);
  numbers_file(const numbers_file&) = delete;
  numbers_file& operator=(const numbers_file&) = delete;
  ~numbers_file();

  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

}  // namespace zo::detail::programs

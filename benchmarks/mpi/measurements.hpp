// What the simulation of many processes starts from: times measured on one machine, in a text file
// of lines "name number number …", in seconds.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bench {

class measurements {
 public:
  /// Throws std::runtime_error, a sentence, where the file cannot be read or written.
  static measurements read(const std::filesystem::path& file);
  void write(const std::filesystem::path& file, const std::string& heading) const;
  /// To a file that is there.
  void append(const std::filesystem::path& file) const;

  void add(const std::string& name, std::vector<double> numbers) {
    rows_.emplace_back(name, std::move(numbers));
  }

  /// Throws std::runtime_error unless there is a row of that name with `count` numbers (0: any).
  const std::vector<double>& row(const std::string& name, std::size_t count = 0) const;
  double number(const std::string& name) const { return row(name, 1).front(); }
  /// Rows whose names begin so, in the file's order.
  std::vector<std::pair<std::string, std::vector<double>>> rows(const std::string& begin) const;

 private:
  void write(std::ofstream out, const std::filesystem::path& file) const;

  std::vector<std::pair<std::string, std::vector<double>>> rows_;
};

}  // namespace bench

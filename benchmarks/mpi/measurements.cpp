#include "mpi/measurements.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace bench {

measurements measurements::read(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  measurements found;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::string name;
    std::vector<double> numbers;
    words >> name;
    for (double number = 0; words >> number;) numbers.push_back(number);
    if (numbers.empty() || !words.eof())
      throw std::runtime_error(file.string() + ": not a name and numbers: " + line);
    found.add(name, std::move(numbers));
  }
  return found;
}

void measurements::write(const std::filesystem::path& file, const std::string& heading) const {
  std::ofstream out(file);
  out << heading;
  write(std::move(out), file);
}

void measurements::append(const std::filesystem::path& file) const {
  write(std::ofstream(file, std::ios::app), file);
}

void measurements::write(std::ofstream out, const std::filesystem::path& file) const {
  for (const auto& [name, numbers] : rows_) {
    out << name;
    for (const double number : numbers) {
      char text[32];
      std::snprintf(text, sizeof text, " %.4g", number);
      out << text;
    }
    out << '\n';
  }
  out.close();
  if (!out) throw std::runtime_error("cannot write " + file.string());
}

const std::vector<double>& measurements::row(const std::string& name, std::size_t count) const {
  const auto at = std::ranges::find(rows_, name, [](const auto& row) { return row.first; });
  if (at == rows_.end() || (count > 0 && at->second.size() != count))
    throw std::runtime_error("the measurements have no row '" + name +
                             "' of this form; measure anew");
  return at->second;
}

std::vector<std::pair<std::string, std::vector<double>>> measurements::rows(
    const std::string& begin) const {
  std::vector<std::pair<std::string, std::vector<double>>> found;
  std::ranges::copy_if(rows_, std::back_inserter(found),
                       [&](const auto& row) { return row.first.starts_with(begin); });
  return found;
}

}  // namespace bench

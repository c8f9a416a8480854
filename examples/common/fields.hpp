// Text and JSON of a checkpoint as typed values. A right checksum says that a file is whole, not
// that this program could have written it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace app {

/// Named values from one file. What is missing, of another type or out of range is refused by
/// refuse_checkpoint, which names the file and the field.
class fields {
 public:
  /// The metadata of the file `source`: texts, some of which hold JSON.
  fields(std::string source, const std::map<std::string, std::string>& metadata);

  /// A whole number in [lowest, highest].
  std::int64_t whole(const std::string& name, std::int64_t lowest, std::int64_t highest) const;
  /// A finite number in [lowest, highest].
  double number(const std::string& name, double lowest, double highest) const;
  /// The same, or NaN.
  double number_or_nan(const std::string& name, double lowest, double highest) const;
  nlohmann::json object(const std::string& name) const;
  /// A list of objects, each as fields.
  std::vector<fields> list(const std::string& name) const;

  /// Refuses the file unless `holds`: "its <name> <why>".
  void require(bool holds, const std::string& name, const std::string& why) const;

 private:
  fields(std::string source, nlohmann::json values, std::string label);
  const nlohmann::json& at(const std::string& name) const;
  nlohmann::json parsed(const std::string& name) const;
  [[noreturn]] void refuse(const std::string& name, const std::string& wanted) const;

  std::string source_;
  nlohmann::json values_;
  std::string label_;  ///< in front of names: "curve[2]."
};

/// A value for a message: JSON in ASCII, shortened.
std::string text_of(const nlohmann::json& value);

}  // namespace app

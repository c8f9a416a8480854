// What belongs to all requests of one service: where it is, and what is sent along.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "zo/service.hpp"

namespace zo::detail::services {

struct recipe {
  /// Throws std::invalid_argument.
  recipe(const std::string& address, const service_options& options);

  std::string address;
  std::string name;      // of the service, in sentences: the address without what follows a "?"
  bool is_here = false;  // on this machine
  std::vector<std::string> headers;
  std::vector<std::string> secrets;

  /// A text without secrets, not even the beginning of one where the text was cut.
  std::string blotted(std::string text) const;
};

}  // namespace zo::detail::services

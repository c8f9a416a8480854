#include "common/checkpoint.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "common/file.hpp"
#include "common/text.hpp"

namespace app {
namespace {

constexpr const char* format_key = "zo.format";
constexpr const char* version_key = "zo.version";
constexpr const char* checksum_key = "zo.checksum";
constexpr const char* format_value = "zo checkpoint";
constexpr const char* version_value = "2";
constexpr const char* version_before = "1";

/// CRC-32 over the meaning of a file rather than its bytes, so that it can be stored inside.
class fingerprint {
 public:
  void add(std::span<const std::uint8_t> bytes) {
    add_number(bytes.size());  // separates neighbours: "ab","c" differs from "a","bc"
    // Of a null pointer, which empty vectors have, zlib makes a new start.
    if (!bytes.empty()) value_ = crc32_z(value_, bytes.data(), bytes.size());
  }
  void add(std::string_view text) {
    add(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }
  void add_number(std::uint64_t number) {
    std::array<std::uint8_t, sizeof number> bytes{};
    std::memcpy(bytes.data(), &number, sizeof number);
    value_ = crc32_z(value_, bytes.data(), bytes.size());
  }
  std::string text() const { return std::to_string(value_); }

 private:
  uLong value_ = crc32_z(0, nullptr, 0);
};

std::string checksum_of(const safetensors& content) {
  fingerprint sum;
  sum.add_number(content.metadata.size() - content.metadata.count(checksum_key));
  for (const auto& [key, text] : content.metadata) {
    if (key == checksum_key) continue;
    sum.add(key);
    sum.add(text);
  }
  std::vector<const tensor*> ordered;  // by name: the file's order is not the caller's
  for (const tensor& each : content.tensors) ordered.push_back(&each);
  std::sort(ordered.begin(), ordered.end(),
            [](const tensor* a, const tensor* b) { return a->name < b->name; });
  for (const tensor* each : ordered) {
    sum.add(each->name);
    sum.add(each->type_name());
    sum.add_number(each->shape.size());
    for (const std::int64_t extent : each->shape) {
      sum.add_number(static_cast<std::uint64_t>(extent));
    }
    sum.add(each->bytes);
  }
  return sum.text();
}

/// Removes and returns a reserved entry; empty when it is absent.
std::string take(safetensors& content, const char* key) {
  auto node = content.metadata.extract(key);
  return node.empty() ? std::string() : std::move(node.mapped());
}

}  // namespace

void refuse_checkpoint(std::string_view source, const std::string& why) {
  throw cannot_resume("Cannot continue from " + in_quotes(source) + ": " + why +
                      "; begin anew with --fresh, or choose another --out.");
}

std::vector<std::uint8_t> encode_checkpoint(safetensors content) {
  for (const auto& [key, text] : content.metadata) {
    if (key.starts_with("zo.")) {
      throw std::invalid_argument("The metadata key " + in_quotes(key) +
                                  " is reserved: choose one that does not begin with zo.");
    }
  }
  content.metadata.emplace(format_key, format_value);
  content.metadata.emplace(version_key, version_value);
  content.metadata[checksum_key] = checksum_of(content);
  return encode_safetensors(content);
}

namespace {

safetensors checked(safetensors content, std::string_view source) {
  const std::string expected = checksum_of(content);
  const std::string stated = take(content, checksum_key);
  const std::string version = take(content, version_key);
  if (take(content, format_key) != format_value) refuse_checkpoint(source, "it is no checkpoint");
  if (version == version_before) {
    // The same checksum, but one that began anew at every tensor without elements.
    for (const tensor& each : content.tensors) {
      if (!each.bytes.empty()) continue;
      refuse_checkpoint(source,
                        "it was written by an earlier version of this program, whose checksum left "
                        "a part of it uncovered");
    }
  } else if (version != version_value) {
    refuse_checkpoint(source, "it has the checkpoint version " + in_quotes(version) +
                                  ", but this program reads " + in_quotes(version_value));
  }
  if (stated != expected) {
    refuse_checkpoint(source, "its contents were altered (wrong checksum)");
  }
  return content;
}

template <class Read>
safetensors checked_file(const Read& read, std::string_view source) {
  safetensors content;
  try {
    content = read();
  } catch (const not_safetensors& error) {
    refuse_checkpoint(source, "the file is damaged or no checkpoint (" + error.why + ")");
  }
  return checked(std::move(content), source);
}

}  // namespace

safetensors parse_checkpoint(std::span<const std::uint8_t> file, std::string_view source) {
  return checked_file([&] { return parse_safetensors(file, source); }, source);
}

void save_checkpoint(const std::filesystem::path& path, const safetensors& content) {
  write_atomically(path, encode_checkpoint(content));
}

safetensors load_checkpoint(const std::filesystem::path& path, std::uint64_t limit_bytes) {
  return checked_file([&] { return read_safetensors(path, limit_bytes); }, path.string());
}

bool is_checkpoint(const std::filesystem::path& path) {
  try {
    const auto metadata = read_safetensors_metadata(path);
    const auto found = metadata.find(format_key);
    return found != metadata.end() && found->second == format_value;
  } catch (const std::runtime_error&) {
    return false;
  }
}

}  // namespace app

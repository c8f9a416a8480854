// Checkpoints that no run has written: altered one thing at a time.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/safetensors.hpp"

namespace app::testing {

/// Texts that are the value of no field.
inline std::vector<std::string> hostile_texts() {
  std::vector<std::string> texts = {"",      "[]",  "{}",   "[{}]",  "[[]]", "null",
                                    "nan",   "inf", "-5",   "1e999", "0x10", "\x1b[2J",
                                    "[null", "{\"", "true", "one",   "1 2 3"};
  for (const char* open : {"[", "{\"a\":", "{\"rate\":["}) {
    std::string deep;
    for (int i = 0; i < 200'000; ++i) deep += open;
    texts.push_back(deep);
  }
  return texts;
}

inline std::vector<nlohmann::json> hostile_values() {
  return {nullptr,         true, -5, 1e301, "x", "[]", "\x1b[2J", nlohmann::json::array(),
          {{"a", nullptr}}};
}

/// Calls check(what, altered) for every value in `at`, a part of `root`, with another in its place.
template <class Check>
void alter_json(const nlohmann::json& root, const nlohmann::json::json_pointer& at,
                const Check& check) {
  const nlohmann::json& here = root.at(at);
  if (!at.empty()) {
    for (const nlohmann::json& value : hostile_values()) {
      nlohmann::json altered = root;
      altered.at(at) = value;
      if (altered != root) check(at.to_string() + " = " + value.dump(), altered.dump());
    }
    nlohmann::json without = root;
    nlohmann::json& parent = without.at(at.parent_pointer());
    if (parent.is_object() && !here.is_null()) {
      parent.erase(at.back());
      check("without " + at.to_string(), without.dump());
    }
  }
  if (!here.is_structured()) return;
  for (const auto& item : here.items()) {
    alter_json(
        root,
        here.is_array() ? at / static_cast<std::size_t>(std::stoul(item.key())) : at / item.key(),
        check);
  }
}

/// Calls check(what, altered) for each altered form of a checkpoint.
template <class Check>
void for_each_alteration(const safetensors& content, const Check& check) {
  for (const auto& [key, text] : content.metadata) {
    safetensors altered = content;
    altered.metadata.erase(key);
    check("without " + key, altered);
    for (const std::string& hostile : hostile_texts()) {
      altered.metadata[key] = hostile;
      check(key + " = " + hostile.substr(0, 20), altered);
    }
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_structured()) continue;
    alter_json(json, nlohmann::json::json_pointer(),
               [&](const std::string& what, const std::string& other) {
                 altered.metadata[key] = other;
                 check(key + " " + what, altered);
               });
  }
  for (std::size_t i = 0; i < content.tensors.size(); ++i) {
    const std::string& name = content.tensors[i].name;
    safetensors altered = content;
    altered.tensors.erase(altered.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    check("without " + name, altered);
    altered = content;
    tensor& t = altered.tensors[i];
    t.shape.push_back(1);
    check("shape of " + name, altered);
    t = content.tensors[i];
    t.dtype = dtype::u8;
    t.shape = {static_cast<std::int64_t>(t.bytes.size())};
    if (t != content.tensors[i]) check("type of " + name, altered);
    t.dtype = dtype::unknown;
    t.unknown_type = "\x1b[2J";
    check("unknown type of " + name, altered);
    t = content.tensors[i];
    t.name = "other";
    check("name of " + name, altered);
    t.shape = {1LL << 20};
    t.bytes.assign(bits_of(t.dtype) / 8 << 20, 7);
    t.name = name;
    check("size of " + name, altered);
  }
}

/// Empty where `message` is a sentence of a program about the file, else what is wrong.
inline std::string complaint_about(const std::string& message) {
  for (const char* raw :
       {"[json", "stod", "stol", "map::", "basic_string", "\x1b", "\n", "std::"}) {
    if (message.find(raw) != std::string::npos) return "raw text: " + message;
  }
  if (message.size() > 1000) return "too long";
  const bool known =
      message.starts_with("Cannot continue from \"") || message.starts_with("cannot resume: --");
  return known ? "" : "no sentence about the file: " + message;
}

}  // namespace app::testing

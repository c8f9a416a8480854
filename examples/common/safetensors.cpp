#include "common/safetensors.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <tuple>

#include "common/file.hpp"
#include "common/text.hpp"

namespace app {
namespace {

using json = nlohmann::json;

struct dtype_row {
  dtype type;
  std::string_view name;
  std::size_t size;
};
constexpr std::array dtypes = {  // in the order of the enumeration
    dtype_row{dtype::i64, "I64", 8},   dtype_row{dtype::f64, "F64", 8},
    dtype_row{dtype::f32, "F32", 4},   dtype_row{dtype::i32, "I32", 4},
    dtype_row{dtype::bf16, "BF16", 2}, dtype_row{dtype::f16, "F16", 2},
    dtype_row{dtype::i16, "I16", 2},   dtype_row{dtype::i8, "I8", 1},
    dtype_row{dtype::u8, "U8", 1},     dtype_row{dtype::boolean, "BOOL", 1}};

constexpr std::size_t length_size = 8;
constexpr std::uint64_t largest_header = 100'000'000;  // as in the reference implementation

[[noreturn]] void refuse(std::string_view source, const std::string& why) {
  throw std::runtime_error("Cannot use " + in_quotes(source) + " as a safetensors file: " + why +
                           "; replace it with an undamaged copy.");
}

/// Bytes that a tensor needs, or nothing when the product does not fit into 64 bits.
std::optional<std::uint64_t> bytes_needed(dtype type, const std::vector<std::int64_t>& shape) {
  std::uint64_t size = size_of(type);
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(size, static_cast<std::uint64_t>(extent), &size)) {
      return std::nullopt;
    }
  }
  return size;
}

std::uint64_t read_header_length(std::span<const std::uint8_t> file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), length_size);
  return length;
}

/// Parses the header and refuses what JSON libraries let pass: repeated names (the last would win
/// silently) and nesting deeper than the format has.
json parse_header(std::string_view text, std::string_view source) {
  constexpr int deepest = 3;  // the header, a tensor, its shape
  std::array<std::set<std::string>, deepest + 1> names;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    const bool opens =
        event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    if (opens && depth >= deepest) refuse(source, "its header is nested too deeply");
    const auto level = static_cast<std::size_t>(std::clamp(depth, 0, deepest));
    if (opens) names[level + 1].clear();
    if (event == json::parse_event_t::key &&
        !names[level].insert(parsed.get<std::string>()).second) {
      refuse(source, "its header has " + in_quotes(parsed.get<std::string>()) + " twice");
    }
    return true;
  };
  try {
    json header = json::parse(text, check);
    if (!header.is_object()) refuse(source, "its header is not a JSON object");
    return header;
  } catch (const json::exception& error) {
    refuse(source, std::string("its header is not JSON (") + error.what() + ")");
  }
}

std::map<std::string, std::string> parse_metadata(const json& value, std::string_view source) {
  if (!value.is_object()) refuse(source, "its __metadata__ is not a JSON object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) refuse(source, "its metadata " + in_quotes(key) + " is not text");
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

struct placed_tensor {
  tensor content;
  std::uint64_t begin;
  std::uint64_t end;
};

/// The value of a non-negative JSON integer, or nothing.
std::optional<std::uint64_t> as_unsigned(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<std::uint64_t>();
}

std::vector<std::int64_t> parse_shape(const json& value, const std::string& label,
                                      std::string_view source) {
  if (!value.is_array()) refuse(source, label + " has no list as its shape");
  std::vector<std::int64_t> shape;
  for (const json& entry : value) {
    const auto extent = as_unsigned(entry);
    if (!extent || *extent > std::numeric_limits<std::int64_t>::max()) {
      refuse(source, label + " has an impossible shape");
    }
    shape.push_back(static_cast<std::int64_t>(*extent));
  }
  return shape;
}

placed_tensor parse_entry(const std::string& name, const json& entry, std::uint64_t payload,
                          std::string_view source) {
  const std::string label = "its tensor " + in_quotes(name);
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry.contains("shape") || !entry.contains("data_offsets")) {
    refuse(source, label + " does not have exactly dtype, shape and data_offsets");
  }
  const json& type_name = entry["dtype"];
  const auto row = std::find_if(dtypes.begin(), dtypes.end(), [&](const dtype_row& candidate) {
    return type_name.is_string() && type_name.get_ref<const std::string&>() == candidate.name;
  });
  if (row == dtypes.end()) refuse(source, label + " has an unknown dtype");

  const json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) refuse(source, label + " has no two offsets");
  const auto begin = as_unsigned(offsets[0]);
  const auto end = as_unsigned(offsets[1]);
  if (!begin || !end || *begin > *end) refuse(source, label + " has impossible offsets");
  if (*end > payload) refuse(source, label + " ends behind the end of the file");

  placed_tensor placed{
      {name, row->type, parse_shape(entry["shape"], label, source), {}}, *begin, *end};
  if (bytes_needed(row->type, placed.content.shape) != *end - *begin) {
    refuse(source, label + " has offsets that do not fit its dtype and shape");
  }
  return placed;
}

/// Sorts by position and requires that the tensors fill the payload exactly.
void require_gapless(std::vector<placed_tensor>& placed, std::uint64_t payload,
                     std::string_view source) {
  std::sort(placed.begin(), placed.end(), [](const placed_tensor& a, const placed_tensor& b) {
    return std::tie(a.begin, a.end, a.content.name) < std::tie(b.begin, b.end, b.content.name);
  });
  std::uint64_t position = 0;
  for (const placed_tensor& each : placed) {
    if (each.begin != position) {
      refuse(source, "its tensor " + in_quotes(each.content.name) +
                         (each.begin < position ? " overlaps another" : " follows a gap"));
    }
    position = each.end;
  }
  if (position != payload) {
    refuse(source,
           "it has " + std::to_string(payload - position) + " bytes behind its last tensor");
  }
}

}  // namespace

std::string_view name_of(dtype type) { return dtypes.at(static_cast<std::size_t>(type)).name; }

std::size_t size_of(dtype type) { return dtypes.at(static_cast<std::size_t>(type)).size; }

void tensor::require_dtype(app::dtype expected) const {
  if (dtype == expected) return;
  throw std::runtime_error(
      "The tensor " + in_quotes(name) + " holds " + std::string(name_of(dtype)) + " where " +
      std::string(name_of(expected)) + " is needed: check that the file belongs to this model.");
}

void tensor::require_shape(const std::vector<std::int64_t>& expected) const {
  if (shape == expected) return;
  const auto text = [](const std::vector<std::int64_t>& extents) {
    std::string out = "[";
    for (const std::int64_t extent : extents) {
      out += (out.size() > 1 ? ", " : "") + std::to_string(extent);
    }
    return out + "]";
  };
  throw std::runtime_error("The tensor " + in_quotes(name) + " has the shape " + text(shape) +
                           " where " + text(expected) +
                           " is needed: check that the file belongs to this model.");
}

void detail::require_filled(const tensor& t) {
  if (bytes_needed(t.dtype, t.shape) == t.bytes.size()) return;
  throw std::invalid_argument("The tensor " + in_quotes(t.name) + " has " +
                              std::to_string(t.bytes.size()) +
                              " bytes, which do not fill its shape.");
}

const tensor* safetensors::find(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const tensor& each) { return each.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

const tensor& safetensors::at(std::string_view name) const {
  if (const tensor* found = find(name)) return *found;
  throw std::runtime_error("There is no tensor " + in_quotes(name) +
                           " in the file: check that it belongs to this model.");
}

safetensors parse_safetensors(std::span<const std::uint8_t> file, std::string_view source) {
  if (file.size() < length_size) refuse(source, "it is too short to have a header");
  const std::uint64_t header_length = read_header_length(file);
  if (header_length > largest_header) refuse(source, "its header would be larger than 100 MB");
  if (header_length > file.size() - length_size) refuse(source, "it ends within its header");

  const auto header_bytes = file.subspan(length_size, static_cast<std::size_t>(header_length));
  const auto payload = file.subspan(length_size + static_cast<std::size_t>(header_length));
  const json header = parse_header(
      {reinterpret_cast<const char*>(header_bytes.data()), header_bytes.size()}, source);

  safetensors out;
  std::vector<placed_tensor> placed;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      out.metadata = parse_metadata(entry, source);
    } else {
      placed.push_back(parse_entry(name, entry, payload.size(), source));
    }
  }
  require_gapless(placed, payload.size(), source);
  for (placed_tensor& each : placed) {
    const auto bytes = payload.subspan(static_cast<std::size_t>(each.begin),
                                       static_cast<std::size_t>(each.end - each.begin));
    each.content.bytes.assign(bytes.begin(), bytes.end());
    out.tensors.push_back(std::move(each.content));
  }
  return out;
}

safetensors read_safetensors(const std::filesystem::path& path, std::uint64_t limit_bytes) {
  return parse_safetensors(read_file(path, limit_bytes), path.string());
}

std::vector<std::uint8_t> encode_safetensors(const safetensors& content) {
  std::vector<const tensor*> ordered;
  for (const tensor& each : content.tensors) ordered.push_back(&each);
  std::sort(ordered.begin(), ordered.end(), [](const tensor* a, const tensor* b) {
    return std::tie(a->dtype, a->name) < std::tie(b->dtype, b->name);
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  std::uint64_t position = 0;
  for (const tensor* each : ordered) {
    detail::require_filled(*each);
    if (each->name == "__metadata__" || header.contains(each->name)) {
      throw std::invalid_argument("The tensor name " + in_quotes(each->name) +
                                  " is already taken.");
    }
    const std::uint64_t end = position + each->bytes.size();
    header[each->name] = {
        {"dtype", name_of(each->dtype)}, {"shape", each->shape}, {"data_offsets", {position, end}}};
    position = end;
  }

  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) {
    throw std::invalid_argument("A tensor name or a metadata text is not UTF-8.");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > largest_header) {
    throw std::invalid_argument("The tensor names and metadata take more than 100 MB.");
  }

  std::vector<std::uint8_t> file(length_size);
  const std::uint64_t length = text.size();
  std::memcpy(file.data(), &length, length_size);
  file.reserve(length_size + text.size() + position);
  file.insert(file.end(), text.begin(), text.end());
  for (const tensor* each : ordered) {
    file.insert(file.end(), each->bytes.begin(), each->bytes.end());
  }
  return file;
}

void write_safetensors(const std::filesystem::path& path, const safetensors& content) {
  write_atomically(path, encode_safetensors(content));
}

}  // namespace app

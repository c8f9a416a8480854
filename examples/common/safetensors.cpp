#include "common/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
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
  std::size_t bits;
};
constexpr std::array dtypes = {  // in the order of the enumeration
    dtype_row{dtype::u64, "U64", 64},
    dtype_row{dtype::i64, "I64", 64},
    dtype_row{dtype::f64, "F64", 64},
    dtype_row{dtype::c64, "C64", 64},
    dtype_row{dtype::f32, "F32", 32},
    dtype_row{dtype::u32, "U32", 32},
    dtype_row{dtype::i32, "I32", 32},
    dtype_row{dtype::bf16, "BF16", 16},
    dtype_row{dtype::f16, "F16", 16},
    dtype_row{dtype::u16, "U16", 16},
    dtype_row{dtype::i16, "I16", 16},
    dtype_row{dtype::f8_e5m2fnuz, "F8_E5M2FNUZ", 8},
    dtype_row{dtype::f8_e4m3fnuz, "F8_E4M3FNUZ", 8},
    dtype_row{dtype::f8_e8m0, "F8_E8M0", 8},
    dtype_row{dtype::f8_e4m3, "F8_E4M3", 8},
    dtype_row{dtype::f8_e5m2, "F8_E5M2", 8},
    dtype_row{dtype::i8, "I8", 8},
    dtype_row{dtype::u8, "U8", 8},
    dtype_row{dtype::f6_e3m2, "F6_E3M2", 6},
    dtype_row{dtype::f6_e2m3, "F6_E2M3", 6},
    dtype_row{dtype::f4, "F4", 4},
    dtype_row{dtype::boolean, "BOOL", 8},
    dtype_row{dtype::unknown, "unknown", 0}};

constexpr std::size_t length_size = 8;
constexpr std::uint64_t largest_header = 100'000'000;  // as in the reference implementation

[[noreturn]] void refuse(std::string_view source, const std::string& why) {
  throw not_safetensors(source, why);
}

/// Whether so many bytes are what dtype and shape need.
bool are_filled(std::uint64_t bytes, dtype type, const std::vector<std::int64_t>& shape) {
  std::uint64_t bits = bits_of(type);
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(bits, static_cast<std::uint64_t>(extent), &bits)) {
      return false;
    }
  }
  return type == dtype::unknown || (bits % 8 == 0 && bits / 8 == bytes);
}

/// Refuses what JSON libraries let pass: repeated names, of which the last would win silently, and
/// nesting without end.
class header_rules {
 public:
  explicit header_rules(std::string_view source) : source_(source) {}

  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(json::number_integer_t) { return true; }
  bool number_unsigned(json::number_unsigned_t) { return true; }
  bool number_float(json::number_float_t, const std::string&) { return true; }
  bool string(std::string&) { return true; }
  bool binary(json::binary_t&) { return true; }
  bool start_object(std::size_t) { return open(); }
  bool start_array(std::size_t) { return open(); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    if (!names_.back().insert(name).second) {
      refuse(source_, "its header has " + in_quotes(name) + " twice");
    }
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) {
    refuse(source_, std::string("its header is not JSON (") + error.what() + ")");
  }

 private:
  bool open() {
    constexpr std::size_t deepest = 16;
    if (names_.size() == deepest) refuse(source_, "its header is nested too deeply");
    names_.emplace_back();
    return true;
  }
  bool close() {
    names_.pop_back();
    return true;
  }

  std::string_view source_;
  std::vector<std::set<std::string>> names_;  // of the objects that are open
};

json parse_header(std::string_view text, std::string_view source) {
  // Where JSON libraries stop reading.
  if (text.find('\0') != text.npos) refuse(source, "its header is not JSON (it has a zero byte)");
  header_rules rules(source);
  json::sax_parse(text, &rules);
  json header = json::parse(text, nullptr, false);
  if (!header.is_object()) refuse(source, "its header is not a JSON object");
  return header;
}

std::map<std::string, std::string> parse_metadata(const json& value, std::string_view source) {
  if (value.is_null()) return {};
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
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    refuse(source, label + " does not have dtype, shape and data_offsets");
  }
  if (!entry["dtype"].is_string()) refuse(source, label + " has no text as its dtype");
  const auto& type_name = entry["dtype"].get_ref<const std::string&>();
  const auto row = std::find_if(dtypes.begin(), dtypes.end() - 1, [&](const dtype_row& candidate) {
    return type_name == candidate.name;
  });

  const json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) refuse(source, label + " has no two offsets");
  const auto begin = as_unsigned(offsets[0]);
  const auto end = as_unsigned(offsets[1]);
  if (!begin || !end || *begin > *end) refuse(source, label + " has impossible offsets");
  if (*end > payload) refuse(source, label + " ends behind the end of the file");

  placed_tensor placed{
      {name, row->type, parse_shape(entry["shape"], label, source), {}}, *begin, *end};
  if (row->type == dtype::unknown) placed.content.unknown_type = type_name;
  if (!are_filled(*end - *begin, row->type, placed.content.shape)) {
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

struct header {
  std::vector<placed_tensor> tensors;  // in file order
  std::map<std::string, std::string> metadata;
};

/// `read(span)` gives the next bytes of the file, of which there are `size`.
template <class Read>
header read_header(const Read& read, std::uint64_t size, std::string_view source) {
  if (size < length_size) refuse(source, "it is too short to have a header");
  std::array<std::uint8_t, length_size> number{};
  read(number);
  std::uint64_t length = 0;
  std::memcpy(&length, number.data(), length_size);
  if (length > largest_header) refuse(source, "its header would be larger than 100 MB");
  if (length > size - length_size) refuse(source, "it ends within its header");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(length));
  read(bytes);
  const json parsed =
      parse_header({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, source);

  const std::uint64_t payload = size - length_size - length;
  header out;
  for (const auto& [name, entry] : parsed.items()) {
    if (name == "__metadata__") {
      out.metadata = parse_metadata(entry, source);
    } else {
      out.tensors.push_back(parse_entry(name, entry, payload, source));
    }
  }
  require_gapless(out.tensors, payload, source);
  return out;
}

template <class Read>
safetensors read_content(const Read& read, std::uint64_t size, std::string_view source) {
  header found = read_header(read, size, source);
  safetensors out{{}, std::move(found.metadata)};
  for (placed_tensor& each : found.tensors) {
    each.content.bytes.resize(static_cast<std::size_t>(each.end - each.begin));
    read(each.content.bytes);
    out.tensors.push_back(std::move(each.content));
  }
  return out;
}

float float_of_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 0x1f;
  const int fraction = bits & 0x3ff;
  float size = 0;
  if (exponent == 0x1f) {
    // The bits of a NaN too.
    size = std::bit_cast<float>(0x7f800000U | static_cast<std::uint32_t>(fraction) << 13);
  } else if (exponent == 0) {
    size = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    size = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  }
  return bits >> 15 == 0 ? size : -size;
}

}  // namespace

std::string_view name_of(dtype type) { return dtypes.at(static_cast<std::size_t>(type)).name; }

std::size_t bits_of(dtype type) { return dtypes.at(static_cast<std::size_t>(type)).bits; }

not_safetensors::not_safetensors(std::string_view source, const std::string& cause)
    : std::runtime_error("Cannot use " + in_quotes(source) + " as a safetensors file: " + cause +
                         "; replace it with an undamaged copy."),
      why(cause) {}

std::string_view tensor::type_name() const {
  return dtype == dtype::unknown ? std::string_view(unknown_type) : name_of(dtype);
}

void tensor::require_dtype(app::dtype expected) const {
  const bool exact = dtype == dtype::f16 || dtype == dtype::bf16;
  if (dtype == expected || (exact && expected == dtype::f32)) return;
  const std::string held =
      dtype == dtype::unknown ? in_quotes(unknown_type) : std::string(type_name());
  throw std::runtime_error("The tensor " + in_quotes(name) + " holds " + held + " where " +
                           std::string(name_of(expected)) +
                           " is needed: check that the file belongs to this model.");
}

std::vector<float> tensor::widened() const {
  std::vector<float> out(bytes.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, sizeof bits);
    out[i] = dtype == dtype::f16 ? float_of_half(bits)
                                 : std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  return out;
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
  if (are_filled(t.bytes.size(), t.dtype, t.shape)) return;
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
  auto rest = file;
  const auto read = [&](std::span<std::uint8_t> out) {
    std::copy_n(rest.begin(), out.size(), out.begin());
    rest = rest.subspan(out.size());
  };
  return read_content(read, file.size(), source);
}

safetensors read_safetensors(const std::filesystem::path& path, std::uint64_t limit_bytes) {
  input_file file(path, limit_bytes);
  const auto read = [&](std::span<std::uint8_t> out) { file.read(out); };
  return read_content(read, file.size(), path.string());
}

std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path) {
  input_file file(path, safetensors_limit_bytes);
  const auto read = [&](std::span<std::uint8_t> out) { file.read(out); };
  return read_header(read, file.size(), path.string()).metadata;
}

std::vector<std::uint8_t> encode_safetensors(const safetensors& content) {
  std::vector<const tensor*> ordered;
  for (const tensor& each : content.tensors) ordered.push_back(&each);
  std::sort(ordered.begin(), ordered.end(), [](const tensor* a, const tensor* b) {
    return std::tie(a->dtype, a->name) < std::tie(b->dtype, b->name);
  });

  std::string text = "{";
  std::uint64_t position = 0;
  std::set<std::string_view> names = {"__metadata__"};
  try {
    if (!content.metadata.empty()) text += "\"__metadata__\":" + json(content.metadata).dump();
    for (const tensor* each : ordered) {
      detail::require_filled(*each);
      if (!names.insert(each->name).second) {
        throw std::invalid_argument("The tensor name " + in_quotes(each->name) +
                                    " is already taken.");
      }
      const std::uint64_t end = position + each->bytes.size();
      if (text.size() > 1) text += ',';
      text += json(each->name).dump() + ":{\"dtype\":" + json(each->type_name()).dump() +
              ",\"shape\":" + json(each->shape).dump() + ",\"data_offsets\":[" +
              std::to_string(position) + ',' + std::to_string(end) + "]}";
      position = end;
    }
  } catch (const json::exception&) {
    throw std::invalid_argument("A tensor name or a metadata text is not UTF-8.");
  }
  text += '}';
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

// The safetensors file format: named tensors and string metadata, without code execution.
// Layout: 8-byte little-endian header length, JSON header padded with spaces, tensor bytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace app {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian; this code copies their bytes as they are");

/// In the order in which encode_safetensors places tensors: those of the reference implementation
/// (huggingface/safetensors 0.8) from its last to its first, then types that it does not know.
enum class dtype {
  u64,
  i64,
  f64,
  c64,
  f32,
  u32,
  i32,
  bf16,
  f16,
  u16,
  i16,
  f8_e5m2fnuz,
  f8_e4m3fnuz,
  f8_e8m0,
  f8_e4m3,
  f8_e5m2,
  i8,
  u8,
  f6_e3m2,
  f6_e2m3,
  f4,
  boolean,
  unknown
};

/// "F32" and so on, as in the file format.
std::string_view name_of(dtype type);
/// Bits of one element; 0 where the type is unknown.
std::size_t bits_of(dtype type);

/// The dtype of a C++ element type.
template <class T>
constexpr dtype dtype_of() {
  if constexpr (std::is_same_v<T, double>)
    return dtype::f64;
  else if constexpr (std::is_same_v<T, float>)
    return dtype::f32;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return dtype::i64;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return dtype::i32;
  else if constexpr (std::is_same_v<T, std::uint8_t>)
    return dtype::u8;
  else
    static_assert(!sizeof(T), "tensors hold float, double, int64_t, int32_t or uint8_t");
}

/// A named row-major array. `bytes` holds exactly its elements, little-endian.
struct tensor {
  std::string name;
  app::dtype dtype = dtype::u8;
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> bytes;
  std::string unknown_type = {};  ///< its name in the file, where dtype is `unknown`

  /// A copy of the elements; those of F16 and BF16 also as float, which holds them exactly. Throws
  /// std::runtime_error when the tensor holds another type.
  template <class T>
  std::vector<T> values() const {
    require_dtype(dtype_of<T>());
    if constexpr (std::is_same_v<T, float>) {
      if (dtype != dtype::f32) return widened();
    }
    std::vector<T> out(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
    return out;
  }

  std::string_view type_name() const;
  /// Throws std::runtime_error, naming the tensor, unless its shape is `expected`.
  void require_shape(const std::vector<std::int64_t>& expected) const;
  /// Throws std::runtime_error, naming the tensor, unless values() of type `expected` are there.
  void require_dtype(app::dtype expected) const;

  friend bool operator==(const tensor&, const tensor&) = default;

 private:
  std::vector<float> widened() const;
};

namespace detail {
/// Throws std::invalid_argument unless the bytes of `t` fill its shape.
void require_filled(const tensor& t);
}  // namespace detail

/// A tensor that holds a copy of `values`; throws std::invalid_argument when they do not fill
/// `shape`. An empty shape is one number.
template <class T>
tensor make_tensor(std::string name, std::vector<std::int64_t> shape, std::span<const T> values) {
  const auto raw = std::as_bytes(values);
  tensor out{std::move(name), dtype_of<T>(), std::move(shape), {}};
  out.bytes.resize(raw.size());
  if (!raw.empty()) std::memcpy(out.bytes.data(), raw.data(), raw.size());
  detail::require_filled(out);
  return out;
}

struct safetensors {
  std::vector<tensor> tensors;  ///< in file order; names are unique
  std::map<std::string, std::string> metadata;

  const tensor* find(std::string_view name) const;
  /// Throws std::runtime_error naming the missing tensor.
  const tensor& at(std::string_view name) const;
};

/// Largest file read unless the caller says otherwise.
inline constexpr std::uint64_t safetensors_limit_bytes = std::uint64_t{8} << 30;

/// A file that is none, or a damaged one.
struct not_safetensors : std::runtime_error {
  not_safetensors(std::string_view source, const std::string& cause);
  std::string why;  ///< without the file and the advice
};

/// Decodes a whole file; `source` names it in messages. Throws not_safetensors unless the header
/// is well-formed, every tensor's offsets fit its dtype and shape, and the tensors fill the payload
/// without gap or overlap. Types that are not known, and keys beside dtype, shape and data_offsets,
/// are no reason: they belong to newer writers. Element values are not looked at.
safetensors parse_safetensors(std::span<const std::uint8_t> file, std::string_view source);
/// The same from a file, of which no more is read before the header was found right.
safetensors read_safetensors(const std::filesystem::path& path,
                             std::uint64_t limit_bytes = safetensors_limit_bytes);
/// Only the metadata; nothing behind the header is read.
std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path);

/// Encodes `content`: tensors ordered by dtype, so that each is aligned, then by name, and the
/// header padded to 8 bytes. Equal content gives equal bytes, the same as the reference
/// implementation (huggingface/safetensors) writes. Throws std::invalid_argument for
/// repeated names, sizes that do not fit the shape, and text that is not UTF-8.
std::vector<std::uint8_t> encode_safetensors(const safetensors& content);
/// Writes atomically.
void write_safetensors(const std::filesystem::path& path, const safetensors& content);

}  // namespace app

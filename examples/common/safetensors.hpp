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
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace app {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian; this code copies their bytes as they are");

/// In the order in which encode_safetensors places tensors: by falling element size.
enum class dtype { i64, f64, f32, i32, bf16, f16, i16, i8, u8, boolean };

/// "F32" and so on, as in the file format.
std::string_view name_of(dtype type);
/// Bytes of one element.
std::size_t size_of(dtype type);

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

  /// A copy of the elements. Throws std::runtime_error when the tensor holds another type.
  template <class T>
  std::vector<T> values() const {
    require_dtype(dtype_of<T>());
    std::vector<T> out(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
    return out;
  }

  /// Throws std::runtime_error, naming the tensor, unless its shape is `expected`.
  void require_shape(const std::vector<std::int64_t>& expected) const;
  /// Throws std::runtime_error, naming the tensor, unless its elements are of type `expected`.
  void require_dtype(app::dtype expected) const;

  friend bool operator==(const tensor&, const tensor&) = default;
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

/// Decodes a whole file; `source` names it in messages. Throws std::runtime_error unless the header
/// is well-formed, every tensor's offsets fit its dtype and shape, and the tensors fill the payload
/// without gap or overlap. Element values are not looked at.
safetensors parse_safetensors(std::span<const std::uint8_t> file, std::string_view source);
safetensors read_safetensors(const std::filesystem::path& path,
                             std::uint64_t limit_bytes = safetensors_limit_bytes);

/// Encodes `content`: tensors ordered by dtype, so that each is aligned, then by name, and the
/// header padded to 8 bytes. Equal content gives equal bytes, the same as the reference
/// implementation (huggingface/safetensors) writes. Throws std::invalid_argument for
/// repeated names, sizes that do not fit the shape, and text that is not UTF-8.
std::vector<std::uint8_t> encode_safetensors(const safetensors& content);
/// Writes atomically.
void write_safetensors(const std::filesystem::path& path, const safetensors& content);

}  // namespace app

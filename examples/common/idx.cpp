#include "common/idx.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>

#include "common/file.hpp"
#include "common/text.hpp"

namespace app {
namespace {

[[noreturn]] void refuse(std::string_view name, const std::string& why,
                         const std::string& advice = "replace it with an undamaged copy") {
  throw std::runtime_error("Cannot use " + in_quotes(name) + ": " + why + "; " + advice + ".");
}

/// Hands out the plain bytes of an IDX file in order, whether it is gzipped or not.
class byte_source {
 public:
  byte_source(std::span<const std::uint8_t> file, std::string_view name)
      : rest_(file), name_(name), gzipped_(begins_gzip(file)) {
    constexpr int gzip_only = 15 + 16;  // the largest window, and a gzip header
    if (gzipped_ && inflateInit2(&stream_, gzip_only) != Z_OK) {
      throw std::runtime_error("zlib could not start: free memory and try again.");
    }
  }
  byte_source(const byte_source&) = delete;
  byte_source& operator=(const byte_source&) = delete;
  ~byte_source() {
    if (gzipped_) inflateEnd(&stream_);
  }

  /// An upper bound of the bytes that can still come: deflate expands at most 1032 times.
  std::uint64_t most_left() const { return gzipped_ ? rest_.size() * 1032 : rest_.size(); }

  /// Fills `out` as far as the data reach and returns how many bytes that was.
  std::size_t read(std::span<std::uint8_t> out) {
    if (gzipped_) return read_gzip(out);
    const std::size_t n = std::min(out.size(), rest_.size());
    std::copy_n(rest_.begin(), n, out.begin());
    rest_ = rest_.subspan(n);
    return n;
  }

  bool is_gzipped() const { return gzipped_; }

  /// True when nothing is left over: no byte, and only zeros behind the gzip data.
  bool at_end() {
    std::uint8_t extra = 0;
    if (read({&extra, 1}) != 0 || (gzipped_ && !ended_)) return false;
    if (!std::ranges::all_of(rest_, [](std::uint8_t byte) { return byte == 0; })) {
      refuse(name_, "what follows its gzip data is none");
    }
    return true;
  }

 private:
  static bool begins_gzip(std::span<const std::uint8_t> bytes) {
    return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
  }

  std::size_t read_gzip(std::span<std::uint8_t> out) {
    constexpr std::size_t largest = std::numeric_limits<uInt>::max();
    std::size_t done = 0;
    while (done < out.size() && !ended_) {
      const std::size_t in = std::min(rest_.size(), largest);
      const std::size_t room = std::min(out.size() - done, largest);
      stream_.next_in = const_cast<Bytef*>(rest_.data());  // zlib's older signature; only read
      stream_.avail_in = static_cast<uInt>(in);
      stream_.next_out = out.data() + done;
      stream_.avail_out = static_cast<uInt>(room);
      const int code = inflate(&stream_, Z_NO_FLUSH);
      rest_ = rest_.subspan(in - stream_.avail_in);
      done += room - stream_.avail_out;
      if (code == Z_BUF_ERROR) break;  // the compressed bytes ended early
      if (code != Z_OK && code != Z_STREAM_END) refuse(name_, "its gzip data are damaged");
      if (code == Z_STREAM_END) {
        ended_ = !begins_gzip(rest_);  // or the next member
        if (!ended_) inflateReset(&stream_);
      }
    }
    return done;
  }

  std::span<const std::uint8_t> rest_;
  std::string_view name_;
  bool gzipped_;
  bool ended_ = false;
  z_stream stream_{};
};

std::uint32_t big_endian(std::span<const std::uint8_t> four) {
  return std::uint32_t{four[0]} << 24 | std::uint32_t{four[1]} << 16 | std::uint32_t{four[2]} << 8 |
         std::uint32_t{four[3]};
}

constexpr std::uint8_t unsigned_bytes = 0x08;

/// Empty for what the format does not have.
std::string type_name(std::uint8_t code) {
  switch (code) {
    case unsigned_bytes:
      return "unsigned bytes";
    case 0x09:
      return "signed bytes";
    case 0x0b:
      return "integers of 16 bits";
    case 0x0c:
      return "integers of 32 bits";
    case 0x0d:
      return "floating-point numbers of 32 bits";
    case 0x0e:
      return "floating-point numbers of 64 bits";
    default:
      return {};
  }
}

std::uint64_t size_of(const std::vector<std::int64_t>& shape) {
  std::uint64_t size = 1;
  for (const std::int64_t extent : shape) size *= static_cast<std::uint64_t>(extent);
  return size;
}

/// Reads the header; returns the extents and checks that their product is at most `limit`.
std::vector<std::int64_t> read_shape(byte_source& source, int rank, std::string_view name,
                                     std::uint64_t limit) {
  std::vector<std::uint8_t> header(4);
  if (source.read(header) != header.size()) refuse(name, "it ends within its header");
  const std::string type = type_name(header[2]);
  if (header[0] != 0 || header[1] != 0 || type.empty()) refuse(name, "it is not an IDX file");
  if (header[2] != unsigned_bytes) {
    refuse(name, "its values are " + type + " and not unsigned bytes", "name a file of bytes");
  }
  if (header[3] != rank) {
    refuse(name,
           "it has " + std::to_string(header[3]) + " dimensions instead of " + std::to_string(rank),
           "name the right file");
  }
  header.resize(4 * static_cast<std::size_t>(rank));
  if (source.read(header) != header.size()) refuse(name, "it ends within its header");
  std::vector<std::int64_t> shape;
  std::uint64_t size = 1;
  for (std::size_t i = 0; i < header.size(); i += 4) {
    const std::uint32_t extent = big_endian(std::span(header).subspan(i, 4));
    if (extent == 0) refuse(name, "one of its dimensions is 0", "name a file that holds something");
    if (extent > limit / size) {
      refuse(name, "it announces more than the " + format_bytes(limit) + " that it may hold");
    }
    size *= extent;
    shape.push_back(extent);
  }
  return shape;
}

}  // namespace

idx_array parse_idx(std::span<const std::uint8_t> file, int rank, std::string_view name,
                    std::uint64_t limit_bytes) {
  byte_source source(file, name);
  idx_array array;
  array.shape = read_shape(source, rank, name, limit_bytes);
  const std::uint64_t size = size_of(array.shape);

  // The inflater may hold a few decoded bytes back; they came out of at most one more window.
  constexpr std::uint64_t held_back = 65536;
  const std::string announced = std::to_string(size) + " bytes it announces";
  if (size > source.most_left() + held_back) refuse(name, "it is shorter than the " + announced);
  array.values.resize(static_cast<std::size_t>(size));
  if (source.read(array.values) != size) refuse(name, "it is shorter than the " + announced);
  if (!source.at_end()) refuse(name, "it does not end after the " + announced);
  return array;
}

namespace {

idx_array read_idx(const std::filesystem::path& path, int rank, std::uint64_t limit_bytes) {
  const std::string name = path.string();
  // Compressed data may be longer than what they hold, but not by much.
  const auto longest = [](std::uint64_t size) { return size + size / 64 + (1 << 20); };
  input_file file(path, longest(limit_bytes));
  constexpr std::uint64_t beginning = 1 << 17;  // of names and comments that gzip puts in front too
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(std::min(beginning, file.size())));
  file.read(bytes);
  byte_source source(bytes, name);
  const std::uint64_t size = size_of(read_shape(source, rank, name, limit_bytes));
  const std::uint64_t header = 4 + 4 * static_cast<std::uint64_t>(rank);
  if (file.size() > (source.is_gzipped() ? longest(size) : header + size)) {
    refuse(name, "it does not end after the " + std::to_string(size) + " bytes it announces");
  }
  if (!source.is_gzipped() && file.size() < header + size) {
    refuse(name, "it is shorter than the " + std::to_string(size) + " bytes it announces");
  }
  const std::size_t read = bytes.size();
  bytes.resize(static_cast<std::size_t>(file.size()));
  file.read(std::span(bytes).subspan(read));
  return parse_idx(bytes, rank, name, limit_bytes);
}

}  // namespace

idx_array read_idx_images(const std::filesystem::path& path, std::uint64_t limit_bytes) {
  return read_idx(path, 3, limit_bytes);
}

idx_array read_idx_labels(const std::filesystem::path& path, int classes,
                          std::uint64_t limit_bytes) {
  idx_array labels = read_idx(path, 1, limit_bytes);
  const auto largest = std::max_element(labels.values.begin(), labels.values.end());
  if (*largest >= classes) {
    refuse(path.string(), "it has the label " + std::to_string(*largest) + ", but there are only " +
                              std::to_string(classes) + " classes");
  }
  return labels;
}

}  // namespace app

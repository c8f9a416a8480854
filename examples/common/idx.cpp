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

[[noreturn]] void refuse(std::string_view name, const std::string& why) {
  throw std::runtime_error("Cannot use " + in_quotes(name) + ": " + why +
                           "; replace it with an undamaged copy.");
}

/// Hands out the plain bytes of an IDX file in order, whether it is gzipped or not.
class byte_source {
 public:
  byte_source(std::span<const std::uint8_t> file, std::string_view name)
      : rest_(file), name_(name), gzipped_(file.size() >= 2 && file[0] == 0x1f && file[1] == 0x8b) {
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

  /// True when nothing is left over: no plain byte, and no byte behind the gzip data.
  bool at_end() {
    std::uint8_t extra = 0;
    return read({&extra, 1}) == 0 && (!gzipped_ || ended_) && rest_.empty();
  }

 private:
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
      ended_ = code == Z_STREAM_END;
      if (code == Z_BUF_ERROR) break;  // the compressed bytes ended early
      if (code != Z_OK && !ended_) refuse(name_, "its gzip data are damaged");
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

/// Reads the header; returns the extents and checks that their product is at most `limit`.
std::vector<std::int64_t> read_shape(byte_source& source, int rank, std::string_view name,
                                     std::uint64_t limit) {
  std::vector<std::uint8_t> header(4 + 4 * static_cast<std::size_t>(rank));
  if (source.read(header) != header.size()) refuse(name, "it ends within its header");
  if (header[0] != 0 || header[1] != 0) refuse(name, "it is not an IDX file");
  if (header[2] != 0x08) refuse(name, "its values are not unsigned bytes");
  if (header[3] != rank) {
    refuse(name, "it has " + std::to_string(header[3]) + " dimensions instead of " +
                     std::to_string(rank));
  }
  std::vector<std::int64_t> shape;
  std::uint64_t size = 1;
  for (std::size_t i = 4; i < header.size(); i += 4) {
    const std::uint32_t extent = big_endian(std::span(header).subspan(i, 4));
    if (extent == 0) refuse(name, "one of its dimensions is 0");
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
  std::uint64_t size = 1;
  for (const std::int64_t extent : array.shape) size *= static_cast<std::uint64_t>(extent);

  // The inflater may hold a few decoded bytes back; they came out of at most one more window.
  constexpr std::uint64_t held_back = 65536;
  const std::string announced = std::to_string(size) + " bytes it announces";
  if (size > source.most_left() + held_back) refuse(name, "it is shorter than the " + announced);
  array.values.resize(static_cast<std::size_t>(size));
  if (source.read(array.values) != size) refuse(name, "it is shorter than the " + announced);
  if (!source.at_end()) refuse(name, "it does not end after the " + announced);
  return array;
}

idx_array read_idx_images(const std::filesystem::path& path, std::uint64_t limit_bytes) {
  const auto file = read_file(path, limit_bytes + 65536);
  return parse_idx(file, 3, path.string(), limit_bytes);
}

idx_array read_idx_labels(const std::filesystem::path& path, int classes,
                          std::uint64_t limit_bytes) {
  const auto file = read_file(path, limit_bytes + 65536);
  idx_array labels = parse_idx(file, 1, path.string(), limit_bytes);
  const auto largest = std::max_element(labels.values.begin(), labels.values.end());
  if (*largest >= classes) {
    refuse(path.string(), "it has the label " + std::to_string(*largest) + ", but there are only " +
                              std::to_string(classes) + " classes");
  }
  return labels;
}

}  // namespace app

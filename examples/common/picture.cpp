#include "common/picture.hpp"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string_view>

#include "common/file.hpp"
#include "common/font.hpp"

namespace app {
namespace {

constexpr std::int64_t margin = 12;
constexpr std::int64_t spacing = 6;
constexpr std::int64_t line_height = glyph_height + 2;
constexpr std::int64_t most_pixels = 100'000'000;

struct colour {
  std::uint8_t red, green, blue;
};
constexpr colour black{30, 30, 30};

/// A white RGB picture.
struct canvas {
  canvas(std::int64_t w, std::int64_t h)
      : width(w), height(h), pixels(static_cast<std::size_t>(3 * w * h), 255) {}

  void set(std::int64_t x, std::int64_t y, colour c) {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const auto at = static_cast<std::size_t>(3 * (y * width + x));
    pixels[at] = c.red;
    pixels[at + 1] = c.green;
    pixels[at + 2] = c.blue;
  }

  std::int64_t width;
  std::int64_t height;
  std::vector<std::uint8_t> pixels;
};

std::int64_t text_width(std::string_view text) {
  return glyph_width * static_cast<std::int64_t>(text.size());
}

void draw_text(canvas& picture, std::int64_t x, std::int64_t y, std::string_view text) {
  for (const char character : text) {
    const bool known = character >= ' ' && character <= '~';
    const auto& glyph = glyphs[static_cast<std::size_t>((known ? character : '?') - ' ')];
    for (int row = 0; row < glyph_height; ++row) {
      for (int column = 0; column < glyph_width; ++column) {
        const int bit = glyph_width - 1 - column;
        if (glyph[static_cast<std::size_t>(row)] >> bit & 1)
          picture.set(x + column, y + row, black);
      }
    }
    x += glyph_width;
  }
}

/// `text` in lines of at most `width` pixels where blanks allow it.
std::vector<std::string> wrapped(std::string_view text, std::int64_t width) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const bool fits =
        !lines.empty() && text_width(lines.back()) + glyph_width + text_width(word) <= width;
    if (fits) {
      lines.back() += ' ';
      lines.back() += word;
    } else if (!word.empty()) {
      lines.emplace_back(word);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

void draw_image(canvas& picture, std::int64_t x, std::int64_t y, const image_sheet& sheet,
                const std::vector<std::uint8_t>& image) {
  const std::int64_t plane = sheet.image_rows * sheet.image_columns;
  for (std::int64_t row = 0; row < sheet.image_rows * sheet.scale; ++row) {
    for (std::int64_t column = 0; column < sheet.image_columns * sheet.scale; ++column) {
      const auto value = [&](std::int64_t channel) {
        const std::int64_t pixel = row / sheet.scale * sheet.image_columns + column / sheet.scale;
        return image[static_cast<std::size_t>(channel * plane + pixel)];
      };
      const colour c = sheet.channels == 3 ? colour{value(0), value(1), value(2)}
                                           : colour{value(0), value(0), value(0)};
      picture.set(x + column, y + row, c);
    }
  }
}

/// Where everything goes, in pixels.
struct layout {
  std::int64_t columns, rows;
  std::int64_t cell_width, cell_height;
  std::int64_t left, top;  // of the first image
  std::int64_t width, height;
  std::vector<std::vector<std::string>> captions;
};

void require(bool condition, const char* complaint) {
  if (!condition) throw std::invalid_argument(std::string("app::image_sheet: ") + complaint);
}

void check(const image_sheet& sheet) {
  require(sheet.channels == 1 || sheet.channels == 3, "images have 1 or 3 channels");
  require(sheet.image_rows >= 1 && sheet.image_rows <= 10'000 && sheet.image_columns >= 1 &&
              sheet.image_columns <= 10'000,
          "images have 1 to 10000 rows and columns");
  require(sheet.scale >= 1 && sheet.scale <= 64, "the scale is 1 to 64");
  require(!sheet.column_captions.empty(), "every column has a caption, and there is one column");
  require(!sheet.images.empty() && sheet.images.size() % sheet.column_captions.size() == 0,
          "the images fill complete rows");
  const std::size_t rows = sheet.images.size() / sheet.column_captions.size();
  require(sheet.row_captions.empty() || sheet.row_captions.size() == rows,
          "there are as many row captions as rows, or none");
  const auto size =
      static_cast<std::size_t>(sheet.channels * sheet.image_rows * sheet.image_columns);
  for (const auto& image : sheet.images) {
    require(image.size() == size, "every image holds channels x rows x columns bytes");
  }
}

layout arrange(const image_sheet& sheet) {
  layout out{};
  out.columns = static_cast<std::int64_t>(sheet.column_captions.size());
  out.rows = static_cast<std::int64_t>(sheet.images.size()) / out.columns;
  out.cell_width = sheet.image_columns * sheet.scale;
  out.cell_height = sheet.image_rows * sheet.scale;

  std::size_t lines = 0;
  for (const std::string& caption : sheet.column_captions) {
    out.captions.push_back(wrapped(caption, out.cell_width));
    lines = std::max(lines, out.captions.back().size());
    for (const std::string& line : out.captions.back()) {  // one long word widens all columns
      out.cell_width = std::max(out.cell_width, text_width(line));
    }
  }
  std::int64_t row_caption_width = 0;
  for (const std::string& caption : sheet.row_captions) {
    row_caption_width = std::max(row_caption_width, text_width(caption) + 2 * spacing);
  }
  out.left = margin + row_caption_width;
  out.top = margin + static_cast<std::int64_t>(lines) * line_height +
            (sheet.title.empty() ? 0 : line_height + spacing) + spacing;
  out.width = std::max(out.left + out.columns * (out.cell_width + spacing) - spacing,
                       margin + text_width(sheet.title)) +
              margin;
  out.height = out.top + out.rows * (out.cell_height + spacing) - spacing + margin;
  require(out.width <= most_pixels / out.height, "the picture would be too large");
  return out;
}

void draw_captions(canvas& picture, const layout& place, const image_sheet& sheet) {
  draw_text(picture, margin, margin, sheet.title);
  for (std::size_t column = 0; column < place.captions.size(); ++column) {
    const auto& lines = place.captions[column];
    const std::int64_t cell =
        place.left + static_cast<std::int64_t>(column) * (place.cell_width + spacing);
    std::int64_t y = place.top - spacing - static_cast<std::int64_t>(lines.size()) * line_height;
    for (const std::string& line : lines) {
      draw_text(picture, cell + (place.cell_width - text_width(line)) / 2, y, line);
      y += line_height;
    }
  }
  for (std::size_t row = 0; row < sheet.row_captions.size(); ++row) {
    const std::string& caption = sheet.row_captions[row];
    const std::int64_t cell =
        place.top + static_cast<std::int64_t>(row) * (place.cell_height + spacing);
    draw_text(picture, place.left - 2 * spacing - text_width(caption),
              cell + (place.cell_height - glyph_height) / 2, caption);
  }
}

std::vector<std::uint8_t> compress(const canvas& picture) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(picture.width);
  header.height = static_cast<png_uint_32>(picture.height);
  header.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  const auto attempt = [&](void* memory) {
    if (png_image_write_to_memory(&header, memory, &size, 0, picture.pixels.data(), 0, nullptr) ==
        0) {
      throw std::runtime_error(std::string("libpng could not encode the picture: ") +
                               header.message + ".");
    }
  };
  attempt(nullptr);  // asks for the size
  std::vector<std::uint8_t> file(size);
  attempt(file.data());
  file.resize(size);
  return file;
}

}  // namespace

std::vector<std::uint8_t> to_bytes(std::span<const float> values) {
  std::vector<std::uint8_t> out;
  out.reserve(values.size());
  for (const float value : values) {
    const float inside = value > 0 ? std::min(value, 1.0F) : 0.0F;  // NaN is not > 0
    out.push_back(static_cast<std::uint8_t>(std::lround(255 * inside)));
  }
  return out;
}

std::vector<std::uint8_t> encode_png(const image_sheet& sheet) {
  check(sheet);
  const layout place = arrange(sheet);
  canvas picture(place.width, place.height);
  draw_captions(picture, place, sheet);
  for (std::size_t i = 0; i < sheet.images.size(); ++i) {
    const auto column = static_cast<std::int64_t>(i) % place.columns;
    const auto row = static_cast<std::int64_t>(i) / place.columns;
    const std::int64_t indent = (place.cell_width - sheet.image_columns * sheet.scale) / 2;
    draw_image(picture, place.left + column * (place.cell_width + spacing) + indent,
               place.top + row * (place.cell_height + spacing), sheet, sheet.images[i]);
  }
  return compress(picture);
}

void write_image_sheet(const std::filesystem::path& path, const image_sheet& sheet) {
  write_atomically(path, encode_png(sheet));
}

}  // namespace app

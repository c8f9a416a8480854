// Resuming a small run from a checkpoint with a right checksum and altered contents. An input is
// lines: "key=text" sets a text of the metadata, "key" removes it, "tensor:TYPE:EXTENT:BYTE"
// replaces a tensor by EXTENT elements of equal bytes.
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

#include "app/hostile.hpp"
#include "common/checkpoint.hpp"
#include "deepzero/support.hpp"
#include "require.hpp"
#include "training.hpp"

namespace {

using namespace deepzero;

struct run {
  run() {
    how.epochs = 1;
    how.network = "mlp";
    train(images, estimator, how, folder.path(), "", {});
    saved = app::load_checkpoint(path());
    how.resume = true;
  }
  std::filesystem::path path() const { return folder.path() / (estimator + ".safetensors"); }

  const std::string estimator = "sparse-cge";
  const problem images = test::striped_problem();
  const test::scratch_folder folder;
  settings how = test::small_settings();
  app::safetensors saved;
};

std::int64_t number_in(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// The text in front of `mark`, which is removed with it.
std::string_view take(std::string_view& text, char mark) {
  const std::size_t end = std::min(text.find(mark), text.size());
  const std::string_view first = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return first;
}

void alter(app::safetensors& content, std::string_view line) {
  const std::size_t equal = line.find('=');
  if (equal != std::string_view::npos) {
    content.metadata[std::string(line.substr(0, equal))] = line.substr(equal + 1);
    return;
  }
  const std::string name(take(line, ':'));
  content.metadata.erase(name);
  for (app::tensor& t : content.tensors) {
    if (t.name != name) continue;
    const std::string type(take(line, ':'));
    const auto extent = number_in(take(line, ':')) & 0xffff;
    const auto byte = static_cast<std::uint8_t>(number_in(line));
    t.dtype = app::dtype::unknown;
    t.unknown_type = type;
    for (int i = 0; i < static_cast<int>(app::dtype::unknown); ++i) {
      if (app::name_of(static_cast<app::dtype>(i)) == type) t.dtype = static_cast<app::dtype>(i);
    }
    t.shape = {extent};
    t.bytes.assign(app::bits_of(t.dtype) * static_cast<std::size_t>(extent) / 8, byte);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const run small;
  app::safetensors content = small.saved;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) alter(content, take(rest, '\n'));
  try {
    app::save_checkpoint(small.path(), content);
  } catch (const std::invalid_argument&) {  // no UTF-8, a reserved key, bits that fill no byte
    return 0;
  }
  try {
    const training_report report =
        train(small.images, small.estimator, small.how, small.folder.path(), "", {});
    require(report.last().step == report.per_epoch && report.last().accuracy <= 1);
  } catch (const app::cannot_resume& error) {  // the ways to refuse: the file, or its numbers
    require(app::testing::complaint_about(error.what()).empty());
  } catch (const std::runtime_error& error) {
    require(std::string_view(error.what()).find("is not a number") != std::string_view::npos);
  }
  return 0;
}

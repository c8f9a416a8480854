// save_files FOLDER STEP: a run in small. Goes on from the checkpoint in FOLDER, where there is
// one, saves that of STEP, and writes results and a picture. One sentence and exit code 1 when it
// cannot.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "common/checkpoint.hpp"
#include "common/file.hpp"
#include "common/picture.hpp"
#include "common/resume.hpp"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    const std::filesystem::path out = argv[1];
    const app::run_files files{out, {out / "checkpoints"}, {"summary.json"}};
    const auto path = out / "checkpoints/c.safetensors";
    app::open_run(files, app::beginning::resume);
    if (std::filesystem::exists(path)) app::load_checkpoint(path);
    app::safetensors content;
    content.metadata["step"] = argv[2];
    const std::vector<std::uint8_t> weights(300'000, static_cast<std::uint8_t>(argv[2][0]));
    content.tensors = {app::make_tensor<std::uint8_t>("weights", {300'000}, weights)};
    app::save_checkpoint(path, content);
    app::write_atomically(out / "summary.json", std::string("{\"step\": ") + argv[2] + "}\n");
    app::image_sheet sheet;
    sheet.column_captions = {"a"};
    sheet.image_rows = sheet.image_columns = 2;
    sheet.images = {{1, 2, 3, 4}};
    app::write_image_sheet(out / "images.png", sheet);
    app::finish_run(files);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

// Results as tables, CSV, JSON and pictures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/processes.hpp"
#include "settings.hpp"
#include "training.hpp"

namespace deepzero {

/// One row per method: parameters, coordinates, accuracy, queries, passes, seconds.
std::string table_text(const std::vector<training_report>& results, std::int64_t test_images,
                       const settings& s);

/// Writes curve.csv (a row per evaluation), summary.json, accuracy_queries.png and
/// accuracy_seconds.png into s.out. Returns sentences for the user, such as that gnuplot is
/// missing.
std::vector<std::string> write_results(const std::vector<training_report>& results,
                                       const std::vector<app::rank_usage>& usage,
                                       std::int64_t test_images, const settings& s);

/// Of the study: one row per size and method, as text; and study.csv, summary.json,
/// study_accuracy.png and study_seconds.png in s.out.
std::string study_text(const std::vector<training_report>& results, std::int64_t test_images,
                       const settings& s);
std::vector<std::string> write_study(const std::vector<training_report>& results,
                                     const std::vector<app::rank_usage>& usage,
                                     std::int64_t test_images, const settings& s);

/// The same beside what the paper printed for these sizes: table.csv (a row per size and method),
/// curve.csv (a row per evaluation), summary.json, table_accuracy.png and table_curve.png, the
/// learning curves of the largest size.
std::string paper_table_text(const std::vector<training_report>& results, std::int64_t test_images,
                             const settings& s);
std::vector<std::string> write_paper_table(const std::vector<training_report>& results,
                                           const std::vector<app::rank_usage>& usage,
                                           std::int64_t test_images, const settings& s);

/// The files that these write.
std::vector<std::string> result_names(const settings& s);

/// What sharing cost every process, and what was not shared; empty for one process.
std::string usage_text(const std::vector<app::rank_usage>& usage, const settings& s);

}  // namespace deepzero

// zo_claims: measures every speed claim of the docs, prints a table, judges each bar.
//
// To add a claim, add an entry to the list of the file it belongs to (generation_claims.cpp,
// overhead_claims.cpp, peer_claims.cpp), or a new such file and a line in all_claims().
#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "claim.hpp"
#include "context.hpp"

namespace {

using namespace bench;

std::vector<claim> all_claims() {
  std::vector<claim> all;
  for (const auto& some : {generation_claims(), overhead_claims(), peer_claims()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

struct row {
  claim what;
  outcome found;

  bool measured() const { return found.skipped.empty(); }
  bool holds() const {
    switch (what.kind) {
      case bar::at_least:
        return found.ratio >= what.limit;
      case bar::at_most:
        return found.ratio <= what.limit;
      case bar::above:
        return found.ratio > what.limit;
    }
    return false;
  }
};

std::string number(double value, const char* format = "%.4g") {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string bar_text(const claim& c) {
  const char* const sign = c.kind == bar::at_least ? ">= " : c.kind == bar::at_most ? "<= " : "> ";
  return sign + number(c.limit);
}

void print_heading() {
  for (const auto& [name, value] : context()) std::printf("%s: %s\n", name.c_str(), value.c_str());
  std::printf("\n%-70s %-24s %10s %10s %-17s %7s %17s %8s  %s\n", "claim", "peer or limit", "ours",
              "peer", "unit", "ratio", "(quartiles)", "bar", "holds");
}

void print(const row& r, bool judge) {
  std::printf("%-70s %-24s ", r.what.name.c_str(), r.what.peer.c_str());
  if (!r.measured()) {
    std::printf("not measured: %s\n", r.found.skipped.c_str());
    return;
  }
  const std::string quartiles = "(" + number(r.found.low) + " - " + number(r.found.high) + ")";
  std::printf("%10s %10s %-17s %7s %17s %8s  %s%s%s\n", number(r.found.ours).c_str(),
              number(r.found.peer).c_str(), r.what.unit.c_str(), number(r.found.ratio).c_str(),
              quartiles.c_str(), bar_text(r.what).c_str(),
              !judge      ? "-"
              : r.holds() ? "yes"
                          : "NO",
              r.found.note.empty() ? "" : "; ", r.found.note.c_str());
  std::fflush(stdout);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

std::string json_row(const row& r) {
  std::string out = "    {\"name\": " + quoted(r.what.name) +
                    ", \"peer_or_limit\": " + quoted(r.what.peer) +
                    ", \"unit\": " + quoted(r.what.unit) + ", ";
  if (r.measured()) {
    out += "\"ours\": " + number(r.found.ours) + ", \"peer\": " + number(r.found.peer) +
           ", \"ratio\": " + number(r.found.ratio) + ", \"quartiles\": [" + number(r.found.low) +
           ", " + number(r.found.high) + "], \"pairs\": " + std::to_string(r.found.pairs) + ", ";
  }
  return out + "\"bar\": " + quoted(bar_text(r.what)) + ", \"holds\": " +
         (!r.measured() ? "null"
          : r.holds()   ? "true"
                        : "false") +
         ", \"note\": " + quoted(r.measured() ? r.found.note : r.found.skipped) + "}";
}

// Under another name first: a run that fails leaves an older file as it was.
void write_json(const std::string& path, const std::vector<row>& rows) {
  const std::string draft = path + ".part";
  {
    std::ofstream file(draft);
    file << "{\n  \"context\": {";
    const char* between = "";
    for (const auto& [name, value] : context()) {
      file << between << "\n    " << quoted(name) << ": " << quoted(value);
      between = ",";
    }
    file << "\n  },\n  \"rows\": [";
    between = "\n";
    for (const row& r : rows) {
      file << between << json_row(r);
      between = ",\n";
    }
    file << "\n  ]\n}\n";
    file.close();
    if (!file) throw std::runtime_error("cannot write " + draft + ": is the disk full?");
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) {
    throw std::runtime_error("cannot write " + path + ": choose another --json file");
  }
}

struct settings {
  std::string json, only;
  bool list = false;
  effort how;
};

constexpr const char* usage =
    "Usage: zo_claims [--json FILE] [--only TEXT] [--list] [--smoke]\n"
    "  --json FILE  also write the rows as JSON\n"
    "  --only TEXT  only the claims whose name or peer contains TEXT\n"
    "  --list       print the names of the claims\n"
    "  --smoke      run each claim once on small sizes and judge nothing\n"
    "Exit code: 0 every bar holds, 1 one does not, 2 wrong options, 3 results cannot be written.\n";

struct wrong_options : std::runtime_error {
  using runtime_error::runtime_error;
};

settings parse(const std::vector<std::string>& arguments) {
  settings s;
  for (std::size_t k = 0; k < arguments.size(); ++k) {
    const std::string& name = arguments[k];
    if (name == "--list") {
      s.list = true;
    } else if (name == "--smoke") {
      s.how.smoke = true;
    } else if (name == "--json" || name == "--only") {
      if (k + 1 == arguments.size()) throw wrong_options(name + " needs a value after it");
      (name == "--json" ? s.json : s.only) = arguments[++k];
    } else {
      throw wrong_options("unknown option " + name);
    }
  }
  return s;
}

int run(const settings& s) {
  std::vector<row> rows;
  bool all_hold = true, any = false;
  for (const claim& c : all_claims()) {
    if (c.name.find(s.only) == std::string::npos && c.peer.find(s.only) == std::string::npos) {
      continue;
    }
    any = true;
    if (s.list) {
      std::printf("%s, against %s: %s\n", c.name.c_str(), c.peer.c_str(), bar_text(c).c_str());
      continue;
    }
    if (rows.empty()) print_heading();
    rows.push_back({c, c.measure(s.how)});
    print(rows.back(), !s.how.smoke);
    all_hold = all_hold && (!rows.back().measured() || rows.back().holds());
  }
  if (!any) throw wrong_options("no claim contains '" + s.only + "'; --list prints their names");
  if (!s.json.empty()) write_json(s.json, rows);
  return all_hold || s.list || s.how.smoke ? 0 : 1;
}

}  // namespace

int main(int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  if (arguments == std::vector<std::string>{"--help"}) {
    std::fputs(usage, stdout);
    return 0;
  }
  try {
    return run(parse(arguments));
  } catch (const wrong_options& error) {
    std::fprintf(stderr, "zo_claims: %s\n%s", error.what(), usage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "zo_claims: %s\n", error.what());
    return 3;
  }
}

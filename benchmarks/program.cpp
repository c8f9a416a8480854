#include "program.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string_view>

#include "common/output.hpp"

namespace bench {
namespace {

struct row {
  claim what;
  outcome found;

  bool measured() const { return found.skipped.empty() && found.failed.empty(); }
  bool holds() const {
    switch (what.kind) {
      case bar::at_least:
        return found.ratio >= what.limit.here();
      case bar::at_most:
        return found.ratio <= what.limit.here();
      case bar::above:
        return found.ratio > what.limit.here();
      case bar::none:
        return true;
    }
    return false;
  }
};

std::string number(double value, const char* missing = "-") {
  if (!std::isfinite(value)) return missing;
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string bar_text(const claim& c, double value, const std::string& set) {
  const char* const sign = c.kind == bar::at_least ? ">= " : c.kind == bar::at_most ? "<= " : "> ";
  return sign + number(value) + (c.limit.depends() ? " (" + set + ")" : "");
}

std::string bar_text(const claim& c) {
  if (c.kind == bar::none) return "none";
  return bar_text(c, c.limit.here(), zo::instruction_set());
}

std::string all_bars(const claim& c) {
  if (!c.limit.depends()) return bar_text(c);
  return bar_text(c, c.limit.avx512, "avx512") + ", " + bar_text(c, c.limit.avx2, "avx2");
}

void print_heading(const facts& context) {
  for (const auto& [name, value] : context) std::printf("%s: %s\n", name.c_str(), value.c_str());
  std::printf("\n%-70s %-24s %10s %10s %-17s %7s %17s %14s  %s\n", "claim", "peer or limit", "ours",
              "peer", "unit", "ratio", "(quartiles)", "bar", "holds");
}

void print(const row& r, bool judge) {
  std::printf("%-70s %-24s ", r.what.name.c_str(), r.what.peer.c_str());
  if (!r.found.failed.empty()) {
    std::printf("FAILED: %s\n", r.found.failed.c_str());
  } else if (!r.measured()) {
    std::printf("not measured: %s\n", r.found.skipped.c_str());
  } else {
    const std::string quartiles = "(" + number(r.found.low) + " - " + number(r.found.high) + ")";
    std::printf("%10s %10s %-17s %7s %17s %14s  %s%s%s\n", number(r.found.ours).c_str(),
                number(r.found.peer).c_str(), r.what.unit.c_str(), number(r.found.ratio).c_str(),
                quartiles.c_str(), bar_text(r.what).c_str(),
                !judge || r.what.kind == bar::none ? "-"
                : r.holds()                        ? "yes"
                                                   : "NO",
                r.found.note.empty() ? "" : "; ", r.found.note.c_str());
  }
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
  const auto json = [](double value) { return number(value, "null"); };
  std::string out = "    {\"name\": " + quoted(r.what.name) +
                    ", \"peer_or_limit\": " + quoted(r.what.peer) +
                    ", \"unit\": " + quoted(r.what.unit) + ", ";
  if (r.measured()) {
    out += "\"ours\": " + json(r.found.ours) + ", \"peer\": " + json(r.found.peer) +
           ", \"ratio\": " + json(r.found.ratio) + ", \"quartiles\": [" + json(r.found.low) + ", " +
           json(r.found.high) + "], \"pairs\": " + std::to_string(r.found.pairs) + ", ";
  }
  const bool judged = !r.found.failed.empty() || (r.measured() && r.what.kind != bar::none);
  return out + "\"bar\": " + quoted(bar_text(r.what)) + ", \"holds\": " +
         (!judged                     ? "null"
          : r.measured() && r.holds() ? "true"
                                      : "false") +
         ", \"note\": " +
         quoted(r.measured()              ? r.found.note
                : !r.found.failed.empty() ? "failed: " + r.found.failed
                                          : r.found.skipped) +
         "}";
}

// Under another name first: a run that fails leaves an older file as it was.
void write_json(const std::string& path, const facts& context, const std::vector<row>& rows) {
  const std::string draft = path + ".part";
  {
    std::ofstream file(draft);
    file << "{\n  \"context\": {";
    const char* between = "";
    for (const auto& [name, value] : context) {
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

std::string usage(const program& p) {
  std::string synopsis = "Usage: " + p.name + " [--json FILE] [--only TEXT] [--list] [--smoke]";
  std::string own;
  for (const own_option& o : p.options) {
    synopsis += " [" + o.name + " " + o.value + "]";
    std::string name = "  " + o.name + " " + o.value;
    name.resize(std::max<std::size_t>(15, name.size() + 1), ' ');
    own += name + o.help + "\n";
  }
  return synopsis +
         "\n"
         "  --json FILE  also write the rows as JSON\n"
         "  --only TEXT  only the claims whose name or peer contains TEXT\n"
         "  --list       print the names of the claims\n"
         "  --smoke      run each claim once on small sizes and judge no speed\n" +
         own +
         "Exit code: 0 every bar holds, 1 one does not, 2 wrong options, 3 something is missing or "
         "the results cannot be written.\n";
}

struct wrong_options : std::runtime_error {
  using runtime_error::runtime_error;
};

settings parse(const program& p, const std::vector<std::string>& arguments) {
  settings s;
  s.how = p.how;
  std::vector<own_option> with_value = p.options;
  with_value.push_back({"--json", "", "", &s.json});
  with_value.push_back({"--only", "", "", &s.only});
  for (std::size_t k = 0; k < arguments.size(); ++k) {
    const std::string& name = arguments[k];
    const auto option =
        std::ranges::find_if(with_value, [&](const own_option& o) { return o.name == name; });
    if (name == "--list") {
      s.list = true;
    } else if (name == "--smoke") {
      s.how.smoke = true;
    } else if (option != with_value.end()) {
      if (k + 1 == arguments.size()) throw wrong_options(name + " needs a value after it");
      *option->to = arguments[++k];
    } else {
      throw wrong_options("unknown option " + name);
    }
  }
  return s;
}

outcome measured(const claim& c, const effort& how) {
  try {
    outcome o = c.measure(how);
    if (!how.smoke && o.low > o.most) {  // by more than noise: so are most pairs
      o.failed = number(o.ratio / o.most) + " times its limit: what measures the limit falls short";
    }
    return o;
  } catch (const std::exception& error) {
    outcome o;
    o.failed = error.what();
    return o;
  }
}

int run(const program& p, const settings& s) {
  std::vector<row> rows;
  for (const claim& c : p.claims()) {
    if (c.name.find(s.only) == std::string::npos && c.peer.find(s.only) == std::string::npos) {
      continue;
    }
    rows.push_back({c, {}});
    if (!s.list) continue;
    std::printf("%s, against %s: %s\n", c.name.c_str(), c.peer.c_str(), all_bars(c).c_str());
  }
  if (rows.empty()) throw wrong_options("no claim contains '" + s.only + "'; --list prints them");
  if (s.list) return 0;

  const std::string limited = limit_peers();
  facts context = p.context();
  if (!limited.empty()) context.emplace_back("peers", limited);
  print_heading(context);
  bool all_hold = true;
  for (row& r : rows) {
    r.found = measured(r.what, s.how);
    print(r, !s.how.smoke);
    const bool slow = r.measured() && !s.how.smoke && !r.holds();
    all_hold = all_hold && r.found.failed.empty() && !slow;
  }
  if (!s.json.empty()) write_json(s.json, context, rows);
  return all_hold ? 0 : 1;
}

}  // namespace

int judge(const program& p, int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  const bool help = arguments == std::vector<std::string>{"--help"};
  if (help) std::fputs(usage(p).c_str(), stdout);
  try {
    const int code = help ? 0 : run(p, parse(p, arguments));
    app::require_printed();
    return code;
  } catch (const wrong_options& error) {
    std::fprintf(stderr, "%s: %s\n%s", p.name.c_str(), error.what(), usage(p).c_str());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", p.name.c_str(), error.what());
    return 3;
  }
}

}  // namespace bench

#include "process/guardian.hpp"

#include <string>
#include <system_error>

#include "process/spawn.hpp"
#include "zo/process.hpp"

namespace zo::detail::programs {
namespace {

constexpr const char* script = R"(trap '' HUP INT QUIT TERM
groups=' '
while read -r word group; do
  case $word in
    +) groups="$groups$group " ;;
    -) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
)";

}  // namespace

guardian::guardian() {
  pipe_ends ends = make_socket_pair();
  const descriptor null = open_null();
  const recipe shell{"/bin/sh", {"PATH=/usr/bin:/bin"}, "/"};
  try {
    process_ = spawn(shell, {"zo::process guardian", "-c", script}, ends.read, null, null, {});
  } catch (const std::system_error& error) {
    throw process_error(std::string("zo::process: /bin/sh, which ends the programs if this one is "
                                    "killed, cannot be started: ") +
                        error.code().message());
  }
  herald_ = std::move(ends.write);
}

guardian::~guardian() { kill_and_reap(process_, {}); }

}  // namespace zo::detail::programs

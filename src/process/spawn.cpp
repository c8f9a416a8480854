// vfork and not fork, which copies the page tables of a program that may use most of the machine's
// memory, and not posix_spawn, which cannot announce a program before it runs. The child shares the
// memory of its parent, which waits for exec: it makes system calls, all of them async-signal-safe,
// with every signal blocked, and writes nothing but its own stack.
#include "process/spawn.hpp"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace zo::detail::programs {
namespace {

struct call {
  const char* path;
  char* const* arguments;
  char* const* environment;
  const char* folder;  // null: this one
  std::array<int, 3> stdio;
  int herald;  // below 0: nobody is told
  int report;  // where the error is written; exec closes it
};

// A handler must not run in memory that is its parent's. A program expects SIGPIPE as it is.
void forget_handlers() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction now {};
    if (sigaction(number, nullptr, &now) != 0) continue;
    const bool ignored = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
    if (ignored && number != SIGPIPE) continue;
    now.sa_flags = 0;
    now.sa_handler = SIG_DFL;
    sigaction(number, &now, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void say(int herald, char what, pid_t group) {
  if (herald < 0) return;
  std::array<char, 24> text{};
  char* at = text.data() + text.size();
  *--at = '\n';
  for (pid_t rest = group; rest > 0; rest /= 10) *--at = static_cast<char>('0' + rest % 10);
  *--at = ' ';
  *--at = what;
  send(herald, at, static_cast<std::size_t>(text.data() + text.size() - at), MSG_NOSIGNAL);
}

[[noreturn]] void become(const call& what) {
  setpgid(0, 0);
  say(what.herald, '+', getpid());
  bool ready = what.folder == nullptr || chdir(what.folder) == 0;
  for (int k = 0; k < 3; ++k)
    ready = ready && dup2(what.stdio[static_cast<std::size_t>(k)], k) >= 0;
  if (ready) {
    forget_handlers();
    execve(what.path, what.arguments, what.environment);
  }
  const int error = errno;
  [[maybe_unused]] const ssize_t told = write(what.report, &error, sizeof error);
  _exit(127);
}

[[gnu::noinline]] pid_t start(const call& what) {
  const pid_t child = vfork();
  if (child == 0) become(what);
  return child;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// No thread is cancelled, and none handles a signal, while its memory is another program's.
class undisturbed {
 public:
  undisturbed() {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  undisturbed(const undisturbed&) = delete;
  undisturbed& operator=(const undisturbed&) = delete;
  ~undisturbed() {
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    pthread_setcancelstate(cancel_, nullptr);
  }

 private:
  sigset_t before_{};
  int cancel_ = 0;
};

}  // namespace

pid_t spawn(const recipe& what, const std::vector<std::string>& arguments, const descriptor& in,
            const descriptor& out, const descriptor& err, const descriptor& herald) {
  pipe_ends report = make_pipe();
  never_wait(report.read);  // exec has happened, or not, when vfork returns
  const std::vector<char*> argv = pointers_to(arguments),
                           environment = pointers_to(what.environment);
  const call asked{what.path.c_str(),
                   argv.data(),
                   environment.data(),
                   what.folder.empty() ? nullptr : what.folder.c_str(),
                   {in.number(), out.number(), err.number()},
                   herald.number(),
                   report.write.number()};
  pid_t child = -1;
  int error = 0;
  {
    const undisturbed whole;
    child = start(asked);
    if (child < 0) error = errno;
  }
  report.write.close();
  int said = 0;
  if (child > 0 && read(report.read.number(), &said, sizeof said) == sizeof said) {
    kill_and_reap(child, herald);
    error = said;
  }
  if (error != 0) throw std::system_error(error, std::generic_category());
  return child;
}

void kill_and_reap(pid_t group, const descriptor& herald) noexcept {
  kill(-group, SIGKILL);
  say(herald.number(), '-', group);
  while (waitpid(group, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace zo::detail::programs

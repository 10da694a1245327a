// A worker that does what a test tells it, line by line, through the FIFO `control` in its directory:
//   exit N       ends with this status          raise N   kills itself with this signal
//   allocate N   takes and touches N bytes; exit status 4 where it does not get them
//   record       writes what it sees of itself to `record.PROCID`
// It ends when the test does. SIGTERM: writes `got-term` and ends with status 0. Options:
//   --ignore-term   goes on after SIGTERM
//   --fork          has a child that holds a lock on `child.lock` and ends by signals alone
//   --record        records and ends at once, without `control`
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <new>
#include <string>
#include <vector>

namespace {

constexpr unsigned kLifeSeconds = 240;  // if the test that started it has died
bool ignore_term = false;

void OnTerm(int /*signal*/) {
  close(open("got-term", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!ignore_term) _exit(0);
}

void HandleTerm() {
  struct sigaction action = {};
  action.sa_handler = OnTerm;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
}

// Entries "KEY=VALUE", each ended by a NUL.
void Record(const std::vector<std::string>& arguments) {
  const char* task = std::getenv("SLURM_PROCID");
  const std::string name = std::string("record.") + (task == nullptr ? "0" : task);
  std::vector<std::string> descriptors(1024);  // before there are those of this function
  for (std::size_t fd = 0; fd < descriptors.size(); ++fd) {
    std::error_code error;
    descriptors[fd] = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  }
  {
    std::ofstream file(name + ".part", std::ios::binary);
    const auto put = [&](const std::string& key, const std::string& value) { file << key << '=' << value << '\0'; };
    for (std::size_t i = 0; i < arguments.size(); ++i) put("arg." + std::to_string(i), arguments[i]);
    for (char** variable = environ; *variable != nullptr; ++variable) file << "env." << *variable << '\0';
    rlimit limit = {};
    getrlimit(RLIMIT_DATA, &limit);
    put("data", std::to_string(limit.rlim_cur));
    getrlimit(RLIMIT_AS, &limit);
    put("address_space", std::to_string(limit.rlim_cur));
    put("nice", std::to_string(getpriority(PRIO_PROCESS, 0)));
    put("pid", std::to_string(getpid()));
    put("directory", std::filesystem::current_path());
    put("group_leader", getpgrp() == getpid() ? "yes" : "no");
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("SigBlk:") || line.starts_with("SigIgn:")) put(line.substr(0, 6), line.substr(8));
    }
    for (std::size_t fd = 0; fd < descriptors.size(); ++fd) {
      if (!descriptors[fd].empty()) put("fd." + std::to_string(fd), descriptors[fd]);
    }
  }
  std::rename((name + ".part").c_str(), name.c_str());
}

void Fork() {
  if (fork() != 0) return;
  if (const char* lock = std::getenv("PETIT_LOCK_FD"); lock != nullptr) close(std::atoi(lock));
  alarm(kLifeSeconds);
  const int file = open("child.lock.part", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  flock(file, LOCK_EX);
  std::rename("child.lock.part", "child.lock");
  if (!ignore_term) signal(SIGTERM, SIG_DFL);
  while (true) pause();
}

void Allocate(std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  char* memory = new (std::nothrow) char[bytes];
  if (memory == nullptr) _exit(4);
  for (std::size_t i = 0; i < bytes; i += kPage) static_cast<volatile char*>(memory)[i] = 1;
}

}  // namespace

int main(int argc, char** argv) {
  alarm(kLifeSeconds);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto has = [&](const char* option) {
    return std::find(arguments.begin(), arguments.end(), option) != arguments.end();
  };
  std::cout << "to standard output" << std::endl;
  std::cerr << "to standard error" << std::endl;
  if (has("--record")) {
    Record(arguments);
    return 0;
  }
  ignore_term = has("--ignore-term");
  HandleTerm();
  if (has("--fork")) Fork();
  std::ifstream control("control");
  for (std::string command; control >> command;) {
    std::size_t number = 0;
    if (command == "record") {
      Record(arguments);
      continue;
    }
    control >> number;
    if (command == "exit") _exit(static_cast<int>(number));
    if (command == "raise") raise(static_cast<int>(number));
    if (command == "allocate") Allocate(number);
  }
  return 0;
}

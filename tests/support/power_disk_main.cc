// tests/support/power_disk_main.cc
//
// Serves a PowerDisk as a file, for a loop device on it: MOUNTPOINT/disk is the device,
// MOUNTPOINT/control takes PowerDisk's commands and tells its report.
//
// usage: power_disk MOUNTPOINT MEGABYTES
// Says "ready" once mounted. It ends with the process that started it, and takes the mount along.

#define FUSE_USE_VERSION 31

#include <fuse3/fuse.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/power_disk.h"

namespace ursula::testing {
namespace {

constexpr std::string_view kDisk = "/disk";
constexpr std::string_view kControl = "/control";

PowerDisk& Disk() { return *static_cast<PowerDisk*>(fuse_get_context()->private_data); }

const std::string& ReportOf(const fuse_file_info& control) {
  return *reinterpret_cast<const std::string*>(control.fh);
}

void* OnMounted(fuse_conn_info* /*connection*/, fuse_config* config) {
  config->direct_io = 1;  // A page cache in between would be a second, unknown one.
  std::puts("ready");
  std::fflush(stdout);
  return fuse_get_context()->private_data;
}

int GetAttributes(const char* path, struct stat* out, fuse_file_info* /*file*/) {
  *out = {};
  out->st_nlink = 1;
  out->st_mode = S_IFREG | 0600;
  if (path == kDisk) {
    out->st_size = static_cast<off_t>(Disk().bytes());
  } else if (path == std::string_view("/")) {
    out->st_mode = S_IFDIR | 0700;
    out->st_nlink = 2;
  } else if (path != kControl) {
    return -ENOENT;
  }
  return 0;
}

// A report is of the moment its file was opened, however many reads it takes: one that grew in
// between would be read with a piece of its end twice.
int Open(const char* path, fuse_file_info* file) {
  if (path == kControl) file->fh = reinterpret_cast<uintptr_t>(new std::string(Disk().Report()));
  return 0;
}

int Release(const char* path, fuse_file_info* file) {
  if (path == kControl) delete &ReportOf(*file);
  return 0;
}

int Read(const char* path, char* into, size_t size, off_t offset, fuse_file_info* file) {
  if (path == kDisk) {
    return static_cast<int>(Disk().Read(static_cast<uint64_t>(offset), {into, size}));
  }
  const std::string& report = ReportOf(*file);
  if (static_cast<std::size_t>(offset) >= report.size()) return 0;
  const std::string rest = report.substr(static_cast<std::size_t>(offset), size);
  std::memcpy(into, rest.data(), rest.size());
  return static_cast<int>(rest.size());
}

int Write(const char* path, const char* from, size_t size, off_t offset, fuse_file_info* /*file*/) {
  if (path == kDisk) {
    return static_cast<int>(Disk().Write(static_cast<uint64_t>(offset), {from, size}));
  }
  return Disk().Command(std::string(from, size)) ? static_cast<int>(size) : -EINVAL;
}

int Sync(const char* path, int /*data_only*/, fuse_file_info* /*file*/) {
  return path == kDisk ? Disk().Flush() : 0;
}

// The shell's `echo >` truncates.
int Truncate(const char* path, off_t /*size*/, fuse_file_info* /*file*/) {
  return path == kControl ? 0 : -EPERM;
}

int ListRoot(const char* /*path*/, void* into, fuse_fill_dir_t fill, off_t /*offset*/,
             fuse_file_info* /*file*/, fuse_readdir_flags /*flags*/) {
  for (std::string_view name : {kDisk, kControl}) {
    fill(into, name.data() + 1, nullptr, 0, fuse_fill_dir_flags{});
  }
  return 0;
}

int Main(char* program, char* mountpoint, uint64_t megabytes) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  PowerDisk disk(megabytes << 20);
  fuse_operations operations = {};
  operations.init = OnMounted;
  operations.getattr = GetAttributes;
  operations.open = Open;
  operations.release = Release;
  operations.read = Read;
  operations.write = Write;
  operations.fsync = Sync;
  operations.truncate = Truncate;
  operations.readdir = ListRoot;
  // One thread: what a cut finds in the cache has one meaning.
  std::string foreground = "-f";
  std::string one_thread = "-s";
  std::array<char*, 4> arguments = {program, foreground.data(), one_thread.data(), mountpoint};
  return fuse_main(static_cast<int>(arguments.size()), arguments.data(), &operations, &disk);
}

}  // namespace
}  // namespace ursula::testing

int main(int argc, char** argv) {
  const uint64_t megabytes = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (megabytes == 0) {
    std::fprintf(stderr, "usage: power_disk MOUNTPOINT MEGABYTES\n");
    return 2;
  }
  return ursula::testing::Main(argv[0], argv[1], megabytes);
}

// tests/golden/raft/archive.h
//
// Reads a .tar.zst into memory.

#pragma once

#include <string>
#include <vector>

namespace ursula::raft::golden {

struct ArchivedFile {
  std::string name;  // Without its folders.
  std::string text;
};

// Its regular files in order of names; empty if it can't be read.
std::vector<ArchivedFile> ReadArchive(const std::string& path);

std::string ReadFile(const std::string& path);

}  // namespace ursula::raft::golden

// lib/io/paths.h
//
// Paths as disks in memory read them: "/a//b/" is "/a/b"; "", "." and "/" are roots that are always
// there.

#pragma once

#include <string>
#include <string_view>

namespace ursula::io {

inline std::string NormalPath(std::string_view path) {
  std::string normal;
  for (char c : path) {
    if (c != '/' || normal.empty() || normal.back() != '/') normal.push_back(c);
  }
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  while (normal.starts_with("./")) normal.erase(0, 2);
  return normal == "." ? std::string() : normal;
}

inline bool IsRoot(std::string_view normal_path) {
  return normal_path.empty() || normal_path == "/";
}

// Of a normal path that is no root.
inline std::string_view ParentPath(std::string_view normal_path) {
  std::size_t slash = normal_path.rfind('/');
  if (slash == std::string_view::npos) return {};
  return normal_path.substr(0, slash == 0 ? 1 : slash);
}

inline std::string_view LeafName(std::string_view normal_path) {
  std::size_t slash = normal_path.rfind('/');
  return slash == std::string_view::npos ? normal_path : normal_path.substr(slash + 1);
}

}  // namespace ursula::io

// Replays recordings of the reference: the random ones kept beside this file (the archives that the
// command line names), and those in the folder that URSULA_RAFT_TRACES names, when it names one.
// One test case for each script; for tables, one for each of their steps.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/golden/raft/archive.h"
#include "tests/golden/raft/commands.h"
#include "tests/golden/raft/script.h"
#include "tests/golden/raft/tables.h"

namespace ursula::raft::golden {
namespace {

class Case : public testing::Test {
 public:
  explicit Case(std::function<void()> body) : body_(std::move(body)) {}
  void TestBody() override { body_(); }

 private:
  std::function<void()> body_;
};

void Register(const std::string& suite, const std::string& name, std::function<void()> body) {
  testing::RegisterTest(suite.c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [body = std::move(body)]() -> testing::Test* { return new Case(body); });
}

void Expect(const std::string& name, const ScriptStep& step, const std::string& actual) {
  if (actual == step.expected) return;
  ADD_FAILURE() << name << ":" << step.line << " " << step.command << "\n"
                << FirstDifference(step.expected, actual);
}

void ReplayCluster(const std::string& name, const std::string& text) {
  const std::vector<ScriptStep> steps = ParseScript(text);
  ASSERT_FALSE(steps.empty()) << name;
  ClusterScript script;
  for (const ScriptStep& step : steps) {
    Expect(name, step, script.Run(step));
    if (testing::Test::HasFailure()) return;  // What follows is a consequence.
  }
}

std::string CaseName(std::string file) {
  file = file.substr(0, file.rfind('.'));
  for (char& c : file) {
    if (c == '-' || c == '.') c = '_';
  }
  return file;
}

void RegisterCluster(const std::string& suite, const std::string& name, std::string text) {
  Register(suite, CaseName(name), [name, text = std::move(text)] { ReplayCluster(name, text); });
}

void RegisterTable(const std::string& suite, const std::string& name, const std::string& text,
                   const std::function<std::string(const ScriptStep&)>& run) {
  for (const ScriptStep& step : ParseScript(text)) {
    Register(suite, CaseName(name) + "_line_" + std::to_string(step.line),
             [name, step, actual = run(step)] { Expect(name, step, actual); });
  }
}

// An archive's name says what it holds and how many: KIND-COUNT.tar.zst.
void RegisterArchive(const std::filesystem::path& path) {
  const std::string name = path.filename();
  const std::size_t dash = name.find('-');
  const std::string suite = "Recorded_" + name.substr(0, dash);
  const std::vector<ArchivedFile> files = ReadArchive(path);
  for (const ArchivedFile& file : files) RegisterCluster(suite, file.name, file.text);
  Register(suite, "AreAllThere", [count = files.size(), said = name.substr(dash + 1)] {
    EXPECT_EQ(std::to_string(count) + ".tar.zst", said);
  });
}

void RegisterFolder(const std::filesystem::path& root) {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::recursive_directory_iterator(root)) {
    if (file.path().extension() == ".txt") files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& path : files) {
    const std::string folder = path.parent_path().filename();
    const std::string name = path.filename();
    std::string text = ReadFile(path);
    if (folder == "quorum") {
      RegisterTable("QuorumTables", name, text, RunQuorumStep);
    } else if (folder == "confchange") {
      auto script = std::make_shared<MembershipScript>();
      RegisterTable("ConfChangeTables", name, text,
                    [script](const ScriptStep& step) { return script->Run(step); });
    } else {
      RegisterCluster("RaftTraces", name, std::move(text));
    }
  }
}

}  // namespace
}  // namespace ursula::raft::golden

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) ursula::raft::golden::RegisterArchive(argv[i]);
  const char* folder = std::getenv("URSULA_RAFT_TRACES");
  if (folder != nullptr && folder[0] != '\0') ursula::raft::golden::RegisterFolder(folder);
  return RUN_ALL_TESTS();
}

// tests/unit/engine/test_engine.h
//
// A real engine with its calls as plain functions, for tests.

#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ursula/engine.h"
#include "ursula/sync.h"

namespace ursula::testing_support {

struct TestEngineOptions {
  uint16_t cores = 1;
  uint32_t groups = 4;
  std::string data_dir = {};
  uint64_t hot_bytes_max = 256 << 20;
  uint64_t message_bytes_max = 64 << 20;
  uint64_t inflight_bytes_max = 64 << 20;
  bool new_history = false;
  Runtime* runtime = nullptr;  // Null: one of its own, with `cores`.
  Function<void(Function<void()>)> executor = {};
};

inline std::unique_ptr<Runtime> MakeRuntime(uint16_t cores) {
  RuntimeOptions options;
  options.core_count = cores;
  auto made = NewRuntime(options);
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.status().ToString().c_str());
    std::abort();
  }
  return std::move(*made);
}

class TestEngine {
 public:
  explicit TestEngine(TestEngineOptions options) {
    if (options.runtime == nullptr) runtime_ = MakeRuntime(options.cores);
    EngineOptions engine;
    engine.runtime = runtime_ ? runtime_.get() : options.runtime;
    engine.executor = std::move(options.executor);
    engine.group_count = options.groups;
    engine.data_dir = options.data_dir;
    engine.hot_bytes_max = options.hot_bytes_max;
    engine.message_bytes_max = options.message_bytes_max;
    engine.inflight_bytes_max = options.inflight_bytes_max;
    engine.new_history = options.new_history;
    auto opened = StreamEngine::Open(std::move(engine));
    status = opened.status();
    if (opened.ok()) engine_ = std::move(*opened);
  }

  StreamEngine& operator*() { return *engine_; }
  StreamEngine* operator->() { return engine_.get(); }

  static StreamId Id(std::string name) {
    return {.bucket = kUpstreamBucket, .name = std::move(name)};
  }

  Result<CreateReply> Create(CreateRequest request) {
    return Wait<CreateReply>([&](auto done) { engine_->Create(request, std::move(done)); });
  }
  Result<CreateReply> Create(std::string name, std::string type = "text/plain") {
    CreateRequest request;
    request.stream = Id(std::move(name));
    request.content_type = std::move(type);
    return Create(std::move(request));
  }
  Result<AppendReply> Append(AppendRequest request) {
    return Wait<AppendReply>([&](auto done) { engine_->Append(request, std::move(done)); });
  }
  Result<AppendReply> Append(std::string name, std::vector<std::string> messages) {
    AppendRequest request;
    request.stream = Id(std::move(name));
    for (std::string& message : messages)
      request.messages.push_back(Bytes::Take(std::move(message)));
    return Append(std::move(request));
  }
  Result<ReadReply> Read(ReadRequest request) {
    return Wait<ReadReply>([&](auto done) { engine_->Read(request, std::move(done)); });
  }
  Result<ReadReply> Read(std::string name, uint64_t from = 0, uint64_t bytes_max = 1 << 20) {
    ReadRequest request;
    request.stream = Id(std::move(name));
    request.from.bytes = from;
    request.bytes_max = bytes_max;
    return Read(std::move(request));
  }
  std::string Text(std::string name, uint64_t from = 0) {
    std::string text;
    for (;;) {
      auto reply = Read(name, from);
      if (!reply.ok()) return reply.status().ToString();
      if (reply->outcome != Outcome::kOk) {
        return "outcome " + std::to_string(static_cast<int>(reply->outcome));
      }
      for (const Bytes& part : reply->parts) text += part.view();
      if (reply->up_to_date) return text;
      from = reply->next.bytes;
    }
  }
  Result<HeadReply> Head(std::string name) {
    return Wait<HeadReply>([&](auto done) { engine_->Head(Id(name), std::move(done)); });
  }
  Result<DeleteReply> Delete(std::string name) {
    return Wait<DeleteReply>(
        [&](auto done) { engine_->Delete({.stream = Id(name)}, std::move(done)); });
  }
  Result<BucketReply> Bucket(void (StreamEngine::*method)(std::string, Done<BucketReply>),
                             std::string name) {
    return Wait<BucketReply>([&](auto done) { (engine_.get()->*method)(name, std::move(done)); });
  }
  Result<ListReply> List(ListRequest request) {
    return Wait<ListReply>([&](auto done) { engine_->List(request, std::move(done)); });
  }

  Status status;

 private:
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<StreamEngine> engine_;
};

// A directory for one test, gone afterwards.
class TestDirectory {
 public:
  TestDirectory() {
    std::string name = testing::TempDir() + "/engineXXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TestDirectory() { std::filesystem::remove_all(path_); }
  std::string data() const { return path_ + "/data"; }

 private:
  std::string path_;
};

}  // namespace ursula::testing_support

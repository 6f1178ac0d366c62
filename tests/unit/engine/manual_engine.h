// tests/unit/engine/manual_engine.h
//
// A real engine on a simulated disk and in virtual time: its calls can be cut off between any two
// turns of its cores.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lib/engine/engine.h"
#include "tests/support/fault_disk.h"
#include "tests/support/manual_loop.h"
#include "ursula/engine.h"

namespace ursula::testing_support {

class ManualEngine {
 public:
  // What a call was answered with; empty until then.
  template <class Reply>
  using Answer = std::shared_ptr<std::optional<Result<Reply>>>;

  explicit ManualEngine(uint32_t groups, uint16_t cores = 2,
                        uint32_t feature_level_max = kFeatureLevelMax)
      : groups_(groups), cores_(cores), feature_level_max_(feature_level_max) {
    disk_.faults().latency_min_ns = disk_.faults().latency_max_ns = 100'000;
    Open();
  }
  ~ManualEngine() {
    if (engine_ != nullptr) Crash();
  }

  void Crash() {
    disk_.Crash();
    runtime_->Crash();
    static_cast<engine::Engine&>(*engine_).Abandon();
    engine_.reset();
    runtime_.reset();
  }
  void Reopen() {
    Crash();
    Open();
  }
  // Without, where it isn't ok.
  Status Reopen(uint32_t feature_level_max) {
    Crash();
    feature_level_max_ = feature_level_max;
    return TryOpen();
  }

  StreamEngine* operator->() { return engine_.get(); }
  testing::ManualRuntime& runtime() { return *runtime_; }
  int64_t wall_ms() { return runtime_->manual_loop(CoreId{0}).wall_ms(); }
  // Single turns of single cores; time passes where none has anything to do.
  void Turns(int count) {
    for (int i = 0; i < count; ++i) {
      bool any = false;
      for (uint16_t core = 0; core < cores_ && !any; ++core) {
        any = runtime_->manual_loop(CoreId{core}).RunTurn();
      }
      if (!any) runtime_->manual_loop(CoreId{0}).clock().now_ns = runtime_->NextEventNs();
    }
  }
  uint64_t now_ns() { return runtime_->manual_loop(CoreId{0}).clock().now_ns; }
  // A deletion of it has begun, and hasn't ended.
  bool IsBeingDeleted(const std::string& bucket) {
    auto& shard = static_cast<engine::Engine&>(*engine_).shard(CoreId{0});
    const auto found = shard.replica(engine::kMetaGroup).machine().BucketFind(bucket);
    return found.has_value() && found->deleting;
  }
  void AdvanceMs(uint64_t ms) { runtime_->AdvanceBy(ms * 1'000'000); }

  template <class Reply, class Start>
  Answer<Reply> Begin(Start start) {
    auto answer = std::make_shared<std::optional<Result<Reply>>>();
    start([answer](Result<Reply> result) { answer->emplace(std::move(result)); });
    return answer;
  }
  // kInternal: no answer within a minute.
  template <class Reply>
  Result<Reply> Await(const Answer<Reply>& answer) {
    if (!runtime_->RunUntil([&] { return answer->has_value(); })) {
      return Status(StatusCode::kInternal, "no answer");
    }
    return **answer;
  }

  static StreamId Id(std::string bucket, std::string name) {
    return {.bucket = std::move(bucket), .name = std::move(name)};
  }

  Answer<BucketReply> BeginDeleteBucket(const std::string& bucket) {
    return Begin<BucketReply>([&](auto done) { engine_->DeleteBucket(bucket, std::move(done)); });
  }
  Answer<CreateReply> BeginCreate(CreateRequest request) {
    return Begin<CreateReply>([&](auto done) { engine_->Create(request, std::move(done)); });
  }
  Result<BucketReply> CreateBucket(const std::string& bucket) {
    return Await(
        Begin<BucketReply>([&](auto done) { engine_->CreateBucket(bucket, std::move(done)); }));
  }
  Result<BucketReply> GetBucket(const std::string& bucket) {
    return Await(
        Begin<BucketReply>([&](auto done) { engine_->GetBucket(bucket, std::move(done)); }));
  }
  Result<CreateReply> Create(CreateRequest request) { return Await(BeginCreate(request)); }
  Result<CreateReply> Create(StreamId id) {
    CreateRequest request;
    request.stream = std::move(id);
    return Create(std::move(request));
  }
  Result<AppendReply> Append(StreamId id, const std::string& message) {
    AppendRequest request;
    request.stream = std::move(id);
    request.messages.push_back(Bytes::Copy(message));
    return Await(Begin<AppendReply>([&](auto done) { engine_->Append(request, std::move(done)); }));
  }
  Result<HeadReply> Head(StreamId id) {
    return Await(Begin<HeadReply>([&](auto done) { engine_->Head(id, std::move(done)); }));
  }
  Result<ReadReply> Read(StreamId id, uint64_t wait_ms = 0) {
    ReadRequest request;
    request.stream = std::move(id);
    request.wait_ms = wait_ms;
    return Await(Begin<ReadReply>([&](auto done) { engine_->Read(request, std::move(done)); }));
  }
  Result<DeleteReply> Delete(StreamId id) {
    return Await(Begin<DeleteReply>(
        [&](auto done) { engine_->Delete({.stream = std::move(id)}, std::move(done)); }));
  }
  Result<ListReply> List(const std::string& bucket) {
    ListRequest request;
    request.bucket = bucket;
    return Await(Begin<ListReply>([&](auto done) { engine_->List(request, std::move(done)); }));
  }

 private:
  void Open() {
    Status opened = TryOpen();
    ASSERT_TRUE(opened.ok()) << opened.ToString();
  }
  Status TryOpen() {
    runtime_ = std::make_unique<testing::ManualRuntime>(cores_, &disk_);
    EngineOptions options;
    options.runtime = runtime_.get();
    options.data_dir = "/data";
    options.group_count = groups_;
    options.wal_bytes_max = cores_ * (uint64_t{8} << 20);
    options.message_bytes_max = 64 << 10;
    options.feature_level_max = feature_level_max_;
    auto opened = StreamEngine::Open(std::move(options));
    if (opened.ok()) engine_ = std::move(*opened);
    return opened.ok() ? Status() : opened.status();
  }

  const uint32_t groups_;
  const uint16_t cores_;
  uint32_t feature_level_max_;
  testing::FaultDisk disk_{1};
  std::unique_ptr<testing::ManualRuntime> runtime_;
  std::unique_ptr<StreamEngine> engine_;
};

}  // namespace ursula::testing_support
